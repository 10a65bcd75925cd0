// A plugin that is a table and little else: API 0.MINOR with a table of SIZE bytes.
#include <string.h>
#include "../pjrt_c_api.h"

struct PJRT_Error { const char* message; };
static PJRT_Error error = {"the plugin's own error"};
static int destroyed;

static void destroy(PJRT_Error_Destroy_Args* args) { destroyed++; }
static void message(PJRT_Error_Message_Args* args) {
  args->message = args->error->message;
  args->message_size = strlen(args->message);
}
static PJRT_Error* code(PJRT_Error_GetCode_Args* args) {
  args->code = PJRT_Error_Code_INTERNAL;
  return NULL;
}
static PJRT_Error* initialize(PJRT_Plugin_Initialize_Args* args) { return NULL; }
static PJRT_Error* attributes(PJRT_Plugin_Attributes_Args* args) {
  args->num_attributes = 0;
  return NULL;
}
static PJRT_Error* create(PJRT_Client_Create_Args* args) { return args->num_options > 0 ? &error : NULL; }

const PJRT_Api* GetPjrtApi(void) {
  static PJRT_Api api = {
    .struct_size = SIZE,
    .pjrt_api_version = {.struct_size = PJRT_Api_Version_STRUCT_SIZE, .major_version = MAJOR, .minor_version = MINOR},
    .PJRT_Error_Destroy = destroy, .PJRT_Error_Message = message, .PJRT_Error_GetCode = code,
    .PJRT_Plugin_Initialize = initialize, .PJRT_Plugin_Attributes = attributes, .PJRT_Client_Create = create,
  };
  return &api;
}

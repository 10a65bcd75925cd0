//go:build linux

// A PJRT plugin that has one device and compiles nothing: it keeps what it is asked to compile. Every function that is
// not written below answers "unimplemented", so that a call nobody thought of is an error and not a crash.

#include "capture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pjrt_c_api.h"

// The objects behind PJRT's opaque pointers have no content: all clients are one, with one device.
static char client_object, device_object, description_object, executable_object;
static PJRT_Device* devices[1] = {(PJRT_Device*)&device_object};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static captured* first;
static captured** last = &first;

static const char unimplemented[] = "this plugin only keeps programs for the ahead-of-time compiler; it cannot do this";

struct PJRT_Error {
  const char* message;
  PJRT_Error_Code code;
};
static PJRT_Error refusal = {unimplemented, PJRT_Error_Code_UNIMPLEMENTED};
static PJRT_Error no_memory = {"out of memory", PJRT_Error_Code_RESOURCE_EXHAUSTED};

static PJRT_Error* refuse(void* args) { return &refusal; }
static PJRT_Error* nothing(void* args) { return NULL; }

static void error_destroy(PJRT_Error_Destroy_Args* args) {}

static void error_message(PJRT_Error_Message_Args* args) {
  args->message = args->error->message;
  args->message_size = strlen(args->error->message);
}

static PJRT_Error* error_code(PJRT_Error_GetCode_Args* args) {
  args->code = args->error->code;
  return NULL;
}

static PJRT_Error* plugin_attributes(PJRT_Plugin_Attributes_Args* args) {
  args->attributes = NULL;
  args->num_attributes = 0;
  return NULL;
}

static PJRT_Error* client_create(PJRT_Client_Create_Args* args) {
  args->client = (PJRT_Client*)&client_object;
  return NULL;
}

static PJRT_Error* platform_name(PJRT_Client_PlatformName_Args* args) {
  args->platform_name = "capture";
  args->platform_name_size = strlen(args->platform_name);
  return NULL;
}

static PJRT_Error* platform_version(PJRT_Client_PlatformVersion_Args* args) {
  args->platform_version = "1";
  args->platform_version_size = 1;
  return NULL;
}

static PJRT_Error* process_index(PJRT_Client_ProcessIndex_Args* args) {
  args->process_index = 0;
  return NULL;
}

static PJRT_Error* all_devices(PJRT_Client_Devices_Args* args) {
  args->devices = devices;
  args->num_devices = 1;
  return NULL;
}

static PJRT_Error* addressable_devices(PJRT_Client_AddressableDevices_Args* args) {
  args->addressable_devices = devices;
  args->num_addressable_devices = 1;
  return NULL;
}

static PJRT_Error* local_hardware_id(PJRT_Device_LocalHardwareId_Args* args) {
  args->local_hardware_id = 0;
  return NULL;
}

static PJRT_Error* device_description(PJRT_Device_GetDescription_Args* args) {
  args->device_description = (PJRT_DeviceDescription*)&description_object;
  return NULL;
}

static PJRT_Error* description_process(PJRT_DeviceDescription_ProcessIndex_Args* args) {
  args->process_index = 0;
  return NULL;
}

static PJRT_Error* description_text(PJRT_DeviceDescription_DebugString_Args* args) {
  args->debug_string = "capture";
  args->debug_string_size = strlen(args->debug_string);
  return NULL;
}

// copy never returns NULL for lack of bytes: only for lack of memory.
static char* copy(const char* from, size_t size) {
  char* to = malloc(size + 1);
  if (to && size) memcpy(to, from, size);
  return to;
}

void capture_free(captured* list) {
  while (list) {
    captured* next = list->next;
    free(list->code);
    free(list->format);
    free(list->options);
    free(list);
    list = next;
  }
}

static PJRT_Error* client_compile(PJRT_Client_Compile_Args* args) {
  captured* c = calloc(1, sizeof *c);
  if (!c) return &no_memory;
  c->code = copy(args->program->code, args->program->code_size);
  c->code_size = args->program->code_size;
  c->format = copy(args->program->format, args->program->format_size);
  c->format_size = args->program->format_size;
  c->options = copy(args->compile_options, args->compile_options_size);
  c->options_size = args->compile_options_size;
  if (!c->code || !c->format || !c->options) {
    capture_free(c);
    return &no_memory;
  }
  pthread_mutex_lock(&lock);
  *last = c;
  last = &c->next;
  pthread_mutex_unlock(&lock);
  args->executable = (PJRT_LoadedExecutable*)&executable_object;
  return NULL;
}

captured* capture_take(void) {
  pthread_mutex_lock(&lock);
  captured* list = first;
  first = NULL;
  last = &first;
  pthread_mutex_unlock(&lock);
  return list;
}

static PJRT_Error* get_executable(PJRT_LoadedExecutable_GetExecutable_Args* args) {
  args->executable = (PJRT_Executable*)&executable_object;
  return NULL;
}

static PJRT_Error* executable_name(PJRT_Executable_Name_Args* args) {
  args->executable_name = "captured";
  args->executable_name_size = strlen(args->executable_name);
  return NULL;
}

static PJRT_Error* num_outputs(PJRT_Executable_NumOutputs_Args* args) {
  args->num_outputs = 0; // only asked for when it is executed, which it cannot be
  return NULL;
}

static PJRT_Error* memory_stats(PJRT_Executable_GetCompiledMemoryStats_Args* args) {
  return NULL; // go-xla's arguments are zeroed
}

static PJRT_Api table;

static void fill(void) {
  typedef PJRT_Error* (*function)(void*);
  char* at = (char*)&table + offsetof(PJRT_Api, PJRT_Error_Destroy);
  for (; at + sizeof(function) <= (char*)&table + sizeof table; at += sizeof(function)) {
    function f = refuse;
    memcpy(at, &f, sizeof f);
  }
  table.struct_size = PJRT_Api_STRUCT_SIZE;
  table.pjrt_api_version.struct_size = PJRT_Api_Version_STRUCT_SIZE;
  table.pjrt_api_version.major_version = PJRT_API_MAJOR;
  table.pjrt_api_version.minor_version = PJRT_API_MINOR;
  table.PJRT_Error_Destroy = error_destroy;
  table.PJRT_Error_Message = error_message;
  table.PJRT_Error_GetCode = error_code;
  table.PJRT_Plugin_Initialize = (PJRT_Plugin_Initialize*)nothing;
  table.PJRT_Plugin_Attributes = plugin_attributes;
  table.PJRT_Client_Create = client_create;
  table.PJRT_Client_Destroy = (PJRT_Client_Destroy*)nothing;
  table.PJRT_Client_PlatformName = platform_name;
  table.PJRT_Client_PlatformVersion = platform_version;
  table.PJRT_Client_ProcessIndex = process_index;
  table.PJRT_Client_Devices = all_devices;
  table.PJRT_Client_AddressableDevices = addressable_devices;
  table.PJRT_Client_Compile = client_compile;
  table.PJRT_Device_GetDescription = device_description;
  table.PJRT_Device_LocalHardwareId = local_hardware_id;
  table.PJRT_DeviceDescription_ProcessIndex = description_process;
  table.PJRT_DeviceDescription_DebugString = description_text;
  table.PJRT_LoadedExecutable_GetExecutable = get_executable;
  table.PJRT_LoadedExecutable_Destroy = (PJRT_LoadedExecutable_Destroy*)nothing;
  table.PJRT_Executable_Name = executable_name;
  table.PJRT_Executable_NumOutputs = num_outputs;
  table.PJRT_Executable_GetCompiledMemoryStats = memory_stats;
  table.PJRT_Executable_Destroy = (PJRT_Executable_Destroy*)nothing;
}

const void* capture_api(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fill);
  return &table;
}

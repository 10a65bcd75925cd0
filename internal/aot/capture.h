// The plugin that compiles nothing: see capture.c.
#ifndef TRMSWEEP_AOT_CAPTURE_H
#define TRMSWEEP_AOT_CAPTURE_H

#include <stddef.h>

// A program as PJRT_Client_Compile was given it.
typedef struct captured {
  char* code;
  size_t code_size;
  char* format;
  size_t format_size;
  char* options;
  size_t options_size;
  struct captured* next;
} captured;

// capture_api returns the plugin's function table, a PJRT_Api.
const void* capture_api(void);

// capture_take returns the programs compiled since the last call, the oldest first. The caller frees them.
captured* capture_take(void);

void capture_free(captured* list);

#endif

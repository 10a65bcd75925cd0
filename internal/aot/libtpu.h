// The ahead-of-time compiler of a PJRT plugin: see libtpu.c.
#ifndef TRMSWEEP_AOT_LIBTPU_H
#define TRMSWEEP_AOT_LIBTPU_H

#include <stddef.h>
#include <stdint.h>

#include "pjrt_c_api.h"

// What one compilation has told.
typedef struct {
  char* error;       // NULL, or what went wrong, as the plugin says it; freed with aot_release
  const char* stage; // what was being done: "load", "initialize", "topology", "compile", "analyze"
  int api_major, api_minor;
  int devices;            // of the topology
  char device_kind[64];   // of its first device
  int64_t code, arguments, outputs, aliases, temporary, peak; // bytes on the device
  double flops, bytes_accessed;
  int64_t serialized; // bytes; 0: the plugin cannot serialize
} aot_result;

// aot_compile loads the plugin and compiles a program for a topology. No code: it only makes the topology.
void aot_compile(const char* library, const char* topology, const PJRT_NamedValue* create, size_t num_create, const char* format, const char* code,
                 size_t code_size, const char* options, size_t options_size, aot_result* out);

void aot_release(aot_result* r);

// aot_ints and aot_string set a named value; the memory that they point to stays the caller's.
void aot_string(PJRT_NamedValue* v, const char* name, const char* value);
void aot_ints(PJRT_NamedValue* v, const char* name, const int64_t* values, size_t n);
void aot_int(PJRT_NamedValue* v, const char* name, int64_t value);

#endif

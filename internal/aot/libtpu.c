//go:build linux

// Compiles a program for a topology through the plain C API of a PJRT plugin, without a client and so without a device.
// Nothing is freed or unloaded: the process ends after one program.

#include "libtpu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void aot_string(PJRT_NamedValue* v, const char* name, const char* value) {
  memset(v, 0, sizeof *v);
  v->struct_size = PJRT_NamedValue_STRUCT_SIZE;
  v->name = name;
  v->name_size = strlen(name);
  v->type = PJRT_NamedValue_kString;
  v->string_value = value;
  v->value_size = strlen(value);
}

void aot_ints(PJRT_NamedValue* v, const char* name, const int64_t* values, size_t n) {
  aot_string(v, name, "");
  v->type = PJRT_NamedValue_kInt64List;
  v->int64_array_value = values;
  v->value_size = n;
}

void aot_int(PJRT_NamedValue* v, const char* name, int64_t value) {
  aot_string(v, name, "");
  v->type = PJRT_NamedValue_kInt64;
  v->int64_value = value;
  v->value_size = 1;
}

void aot_release(aot_result* r) { free(r->error); }

static const PJRT_Api* api;

// NEW declares arguments of a call, zeroed and with their size.
#define NEW(type, name) \
  type name;            \
  memset(&name, 0, sizeof name); \
  name.struct_size = type##_STRUCT_SIZE

// failed keeps the message of an error and says whether there was one.
static int failed(aot_result* out, PJRT_Error* e) {
  if (!e) return 0;
  NEW(PJRT_Error_Message_Args, m);
  m.error = e;
  api->PJRT_Error_Message(&m);
  out->error = strndup(m.message, m.message_size);
  NEW(PJRT_Error_Destroy_Args, d);
  d.error = e;
  api->PJRT_Error_Destroy(&d);
  return 1;
}

static void describe(const PJRT_TopologyDescription* topology, aot_result* out) {
  NEW(PJRT_TopologyDescription_GetDeviceDescriptions_Args, d);
  d.topology = topology;
  if (failed(out, api->PJRT_TopologyDescription_GetDeviceDescriptions(&d)) || !d.num_descriptions) return;
  out->devices = (int)d.num_descriptions;
  NEW(PJRT_DeviceDescription_Kind_Args, k);
  k.device_description = d.descriptions[0];
  if (failed(out, api->PJRT_DeviceDescription_Kind(&k))) return;
  snprintf(out->device_kind, sizeof out->device_kind, "%.*s", (int)k.device_kind_size, k.device_kind);
}

static double number(const PJRT_NamedValue* v) {
  switch (v->type) {
    case PJRT_NamedValue_kFloat:
      return v->float_value;
    case PJRT_NamedValue_kInt64:
      return (double)v->int64_value;
    default:
      return 0;
  }
}

static void analyze(PJRT_Executable* executable, aot_result* out) {
  NEW(PJRT_Executable_GetCompiledMemoryStats_Args, m);
  m.executable = executable;
  if (failed(out, api->PJRT_Executable_GetCompiledMemoryStats(&m))) return;
  out->code = m.generated_code_size_in_bytes;
  out->arguments = m.argument_size_in_bytes;
  out->outputs = m.output_size_in_bytes;
  out->aliases = m.alias_size_in_bytes;
  out->temporary = m.temp_size_in_bytes;
  out->peak = m.peak_memory_in_bytes;
  NEW(PJRT_Executable_GetCostAnalysis_Args, c);
  c.executable = executable;
  if (failed(out, api->PJRT_Executable_GetCostAnalysis(&c))) return;
  for (size_t i = 0; i < c.num_properties; i++) {
    const PJRT_NamedValue* v = &c.properties[i];
    if (v->name_size == 5 && !memcmp(v->name, "flops", 5)) out->flops = number(v);
    if (v->name_size == 14 && !memcmp(v->name, "bytes accessed", 14)) out->bytes_accessed = number(v);
  }
  NEW(PJRT_Executable_Serialize_Args, s);
  s.executable = executable;
  PJRT_Error* e = api->PJRT_Executable_Serialize(&s);
  if (!e) out->serialized = (int64_t)s.serialized_bytes_size;
}

void aot_compile(const char* library, const char* topology, const PJRT_NamedValue* create, size_t num_create, const char* format, const char* code,
                 size_t code_size, const char* options, size_t options_size, aot_result* out) {
  memset(out, 0, sizeof *out);
  out->stage = "load";
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    out->error = strdup(dlerror());
    return;
  }
  const PJRT_Api* (*get)(void) = (const PJRT_Api* (*)(void))dlsym(handle, "GetPjrtApi");
  if (!get || !(api = get())) {
    out->error = strdup("it has no GetPjrtApi that answers");
    return;
  }
  out->api_major = api->pjrt_api_version.major_version;
  out->api_minor = api->pjrt_api_version.minor_version;
  if (out->api_major != PJRT_API_MAJOR || api->struct_size < offsetof(PJRT_Api, PJRT_Executable_GetCompiledMemoryStats) + sizeof(void*)) {
    out->error = strdup("its PJRT API is another one");
    return;
  }
  out->stage = "initialize";
  NEW(PJRT_Plugin_Initialize_Args, init);
  if (failed(out, api->PJRT_Plugin_Initialize(&init))) return;
  out->stage = "topology";
  NEW(PJRT_TopologyDescription_Create_Args, t);
  t.topology_name = topology;
  t.topology_name_size = strlen(topology);
  t.create_options = create;
  t.num_options = num_create;
  if (failed(out, api->PJRT_TopologyDescription_Create(&t))) return;
  describe(t.topology, out);
  if (out->error || !code_size) return;
  out->stage = "compile";
  NEW(PJRT_Program, program);
  program.format = format;
  program.format_size = strlen(format);
  program.code = (char*)code;
  program.code_size = code_size;
  NEW(PJRT_Compile_Args, c);
  c.topology = t.topology;
  c.program = &program;
  c.compile_options = options;
  c.compile_options_size = options_size;
  if (failed(out, api->PJRT_Compile(&c))) return;
  out->stage = "analyze";
  analyze(c.executable, out);
}

//go:build cgo && (linux || darwin)

#include "table.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// original is the plugin's table as this header knows it, zero beyond what the
// plugin has; table is the same with our functions in it. Neither changes after
// trm_table_make: go-xla's finalizers call in from the collector at any time.
static PJRT_Api original[TRM_SLOTS];
static PJRT_Api table[TRM_SLOTS];

void trm_free(void* p) { free(p); }

const PJRT_Api* trm_dlopen(const char* path, char** why) {
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    const char* said = dlerror();
    *why = strdup(said != NULL ? said : "no reason given");
    return NULL;
  }
  const PJRT_Api* (*get)(void) = (const PJRT_Api* (*)(void))dlsym(handle, "GetPjrtApi");
  if (get == NULL) {
    *why = strdup("it has no GetPjrtApi");
    return NULL;
  }
  const PJRT_Api* api = get();
  if (api == NULL) {
    *why = strdup("its GetPjrtApi returned nothing");
  }
  return api;
}

// ---- errors of ours ----

// PJRT_Error is the plugin's own type: ours are known by being in this list.
typedef struct own_error {
  struct own_error* next;
  char message[256];
} own_error;

static pthread_mutex_t own_lock = PTHREAD_MUTEX_INITIALIZER;
static own_error* own_errors;

static PJRT_Error* own_new(const char* message) {
  own_error* e = calloc(1, sizeof *e);
  if (e == NULL) {
    abort();
  }
  snprintf(e->message, sizeof e->message, "%s", message);
  pthread_mutex_lock(&own_lock);
  e->next = own_errors;
  own_errors = e;
  pthread_mutex_unlock(&own_lock);
  return (PJRT_Error*)e;
}

// own_find returns the error if it is ours, and takes it out of the list on demand.
static own_error* own_find(const PJRT_Error* error, bool take) {
  own_error* found = NULL;
  pthread_mutex_lock(&own_lock);
  for (own_error** at = &own_errors; *at != NULL; at = &(*at)->next) {
    if ((const void*)*at == (const void*)error) {
      found = *at;
      if (take) {
        *at = found->next;
      }
      break;
    }
  }
  pthread_mutex_unlock(&own_lock);
  return found;
}

static void error_destroy(int slot, PJRT_Error_Destroy_Args* args) {
  own_error* own = own_find(args->error, true);
  if (own != NULL) {
    free(own);
    return;
  }
  original[slot].PJRT_Error_Destroy(args);
}

static void error_message(int slot, PJRT_Error_Message_Args* args) {
  own_error* own = own_find(args->error, false);
  if (own != NULL) {
    args->message = own->message;
    args->message_size = strlen(own->message);
    return;
  }
  original[slot].PJRT_Error_Message(args);
}

static PJRT_Error* error_code(int slot, PJRT_Error_GetCode_Args* args) {
  if (own_find(args->error, false) != NULL) {
    args->code = PJRT_Error_Code_UNIMPLEMENTED;
    return NULL;
  }
  return original[slot].PJRT_Error_GetCode(args);
}

// absent stands where a plugin has no function: go-xla would call a null pointer.
static PJRT_Error* absent(void* args) {
  (void)args;
  return own_new("this plugin lacks a PJRT function that was called; a newer version of it may have it");
}

PJRT_Error* trm_error_not_cached(void) { return own_new("the program is not in the cache of compiled programs"); }

char* trm_error_text(int slot, PJRT_Error* error, int* code) {
  PJRT_Error_Message_Args message = {.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE, .error = error};
  error_message(slot, &message);
  char* text = calloc(1, message.message_size + 1);
  if (text != NULL && message.message != NULL) {
    memcpy(text, message.message, message.message_size);
  }
  PJRT_Error_GetCode_Args get = {.struct_size = PJRT_Error_GetCode_Args_STRUCT_SIZE, .error = error, .code = PJRT_Error_Code_UNKNOWN};
  PJRT_Error* second = error_code(slot, &get);
  *code = get.code;
  PJRT_Error_Destroy_Args destroy = {.struct_size = PJRT_Error_Destroy_Args_STRUCT_SIZE, .error = error};
  error_destroy(slot, &destroy);
  if (second != NULL) {
    destroy.error = second;
    error_destroy(slot, &destroy);
  }
  return text;
}

static void discard(int slot, PJRT_Error* error) {
  if (error != NULL) {
    PJRT_Error_Destroy_Args destroy = {.struct_size = PJRT_Error_Destroy_Args_STRUCT_SIZE, .error = error};
    error_destroy(slot, &destroy);
  }
}

// ---- execution ----

// trm_execute mends what go-xla v0.1.4 passes for several devices. It numbers inputs
// through all devices where PJRT numbers those of one device, so that an input
// would count as donated on every device after the first. One that any device
// must keep is kept on all.
PJRT_Error* trm_execute(int slot, PJRT_LoadedExecutable_Execute_Args* args) {
  PJRT_ExecuteOptions* given = args->options;
  size_t n = given != NULL ? given->num_non_donatable_input_indices : 0;
  if (args->num_devices < 2 || args->num_args == 0 || n == 0) {
    return original[slot].PJRT_LoadedExecutable_Execute(args);
  }
  bool* keep = calloc(args->num_args, sizeof *keep);
  int64_t* indices = calloc(args->num_args, sizeof *indices);
  if (keep == NULL || indices == NULL) {
    abort();
  }
  for (size_t i = 0; i < n; i++) {
    int64_t index = given->non_donatable_input_indices[i];
    if (index >= 0) {
      keep[(size_t)index % args->num_args] = true;
    }
  }
  PJRT_ExecuteOptions mended = *given;
  mended.num_non_donatable_input_indices = 0;
  for (size_t i = 0; i < args->num_args; i++) {
    if (keep[i]) {
      indices[mended.num_non_donatable_input_indices++] = (int64_t)i;
    }
  }
  mended.non_donatable_input_indices = indices;
  args->options = &mended;
  PJRT_Error* error = original[slot].PJRT_LoadedExecutable_Execute(args);
  args->options = given;
  free(keep);
  free(indices);
  return error;
}

PJRT_Error* trm_execute_and_wait(int slot, PJRT_LoadedExecutable_Execute_Args* args, bool* good) {
  *good = false;
  PJRT_Error* error = trm_execute(slot, args);
  if (error != NULL || args->device_complete_events == NULL) {
    return error;  // without events nobody knows when it ends
  }
  *good = true;
  for (size_t i = 0; i < args->num_devices; i++) {
    if (args->device_complete_events[i] == NULL) {
      continue;
    }
    PJRT_Event_Await_Args await = {.struct_size = PJRT_Event_Await_Args_STRUCT_SIZE, .event = args->device_complete_events[i]};
    PJRT_Error* failed = original[slot].PJRT_Event_Await(&await);  // the caller waits, too, and gets the error again
    *good = *good && failed == NULL;
    discard(slot, failed);
  }
  return NULL;
}

static atomic_int on_trial[TRM_SLOTS];

void trm_on_trial(int slot, int programs) { atomic_store(&on_trial[slot], programs); }

static PJRT_Error* execute(int slot, PJRT_LoadedExecutable_Execute_Args* args) {
  return atomic_load(&on_trial[slot]) > 0 ? trmsweepExecute(slot, args) : trm_execute(slot, args);
}

// ---- the table ----

#define SLOT(n)                                                                                                   \
  static void error_destroy_##n(PJRT_Error_Destroy_Args* a) { error_destroy(n, a); }                               \
  static void error_message_##n(PJRT_Error_Message_Args* a) { error_message(n, a); }                               \
  static PJRT_Error* error_code_##n(PJRT_Error_GetCode_Args* a) { return error_code(n, a); }                       \
  static PJRT_Error* create_##n(PJRT_Client_Create_Args* a) { return trmsweepCreate(n, a); }                       \
  static PJRT_Error* compile_##n(PJRT_Client_Compile_Args* a) { return trmsweepCompile(n, a); }                    \
  static PJRT_Error* execute_##n(PJRT_LoadedExecutable_Execute_Args* a) { return execute(n, a); }
SLOT(0) SLOT(1) SLOT(2) SLOT(3) SLOT(4) SLOT(5) SLOT(6) SLOT(7)

#define PER_SLOT(f) {f##_0, f##_1, f##_2, f##_3, f##_4, f##_5, f##_6, f##_7}

static PJRT_Error_Destroy* const error_destroys[TRM_SLOTS] = PER_SLOT(error_destroy);
static PJRT_Error_Message* const error_messages[TRM_SLOTS] = PER_SLOT(error_message);
static PJRT_Error_GetCode* const error_codes[TRM_SLOTS] = PER_SLOT(error_code);
static PJRT_Client_Create* const creates[TRM_SLOTS] = PER_SLOT(create);
static PJRT_Client_Compile* const compiles[TRM_SLOTS] = PER_SLOT(compile);
static PJRT_LoadedExecutable_Execute* const executes[TRM_SLOTS] = PER_SLOT(execute);

// fill puts absent where a table has no function.
static void fill(PJRT_Api* t) {
  typedef PJRT_Error* function(void*);
  function** at = (function**)&t->PJRT_Plugin_Initialize;
  function** end = (function**)((char*)t + PJRT_Api_STRUCT_SIZE);
  for (; at < end; at++) {
    if (*at == NULL) {
      *at = absent;
    }
  }
}

const PJRT_Api* trm_table_make(int slot, const PJRT_Api* real) {
  PJRT_Api* o = &original[slot];
  size_t size = real->struct_size < PJRT_Api_STRUCT_SIZE ? real->struct_size : PJRT_Api_STRUCT_SIZE;
  memset(o, 0, sizeof *o);
  memcpy(o, real, size);
  o->struct_size = size;
  fill(o);
  PJRT_Api* t = &table[slot];
  *t = *o;
  t->PJRT_Error_Destroy = error_destroys[slot];
  t->PJRT_Error_Message = error_messages[slot];
  t->PJRT_Error_GetCode = error_codes[slot];
  t->PJRT_Client_Create = creates[slot];
  t->PJRT_Client_Compile = compiles[slot];
  t->PJRT_LoadedExecutable_Execute = executes[slot];
  return t;
}

// ---- the plugin's own functions, for Go ----

PJRT_Error* trm_create(int slot, PJRT_Client_Create_Args* args) { return original[slot].PJRT_Client_Create(args); }

PJRT_Error* trm_compile(int slot, PJRT_Client_Compile_Args* args) { return original[slot].PJRT_Client_Compile(args); }

// trm_compile_code compiles another program than args has.
PJRT_Error* trm_compile_code(int slot, PJRT_Client_Compile_Args* args, char* code, size_t size) {
  PJRT_Program program = *args->program;
  program.code = code;
  program.code_size = size;
  PJRT_Client_Compile_Args mine = *args;
  mine.program = &program;
  PJRT_Error* error = original[slot].PJRT_Client_Compile(&mine);
  args->executable = mine.executable;
  return error;
}

// copy puts bytes into out, after what it has.
static void append(trm_bytes* out, const char* data, size_t size) {
  char* grown = realloc(out->data, out->size + size + 1);
  if (grown == NULL) {
    abort();
  }
  if (size > 0) {
    memcpy(grown + out->size, data, size);
  }
  grown[out->size + size] = 0;
  out->data = grown;
  out->size += size;
}

PJRT_Error* trm_platform(int slot, PJRT_Client* client, trm_bytes* name, trm_bytes* version) {
  PJRT_Client_PlatformName_Args n = {.struct_size = PJRT_Client_PlatformName_Args_STRUCT_SIZE, .client = client};
  PJRT_Error* error = original[slot].PJRT_Client_PlatformName(&n);
  if (error != NULL) {
    return error;
  }
  append(name, n.platform_name, n.platform_name_size);
  PJRT_Client_PlatformVersion_Args v = {.struct_size = PJRT_Client_PlatformVersion_Args_STRUCT_SIZE, .client = client};
  error = original[slot].PJRT_Client_PlatformVersion(&v);
  if (error != NULL) {
    return error;
  }
  append(version, v.platform_version, v.platform_version_size);
  return NULL;
}

// trm_devices counts all devices and lists the kinds of those of this process, one a line.
PJRT_Error* trm_devices(int slot, PJRT_Client* client, size_t* all, trm_bytes* kinds) {
  PJRT_Client_Devices_Args d = {.struct_size = PJRT_Client_Devices_Args_STRUCT_SIZE, .client = client};
  PJRT_Error* error = original[slot].PJRT_Client_Devices(&d);
  if (error != NULL) {
    return error;
  }
  *all = d.num_devices;
  PJRT_Client_AddressableDevices_Args a = {.struct_size = PJRT_Client_AddressableDevices_Args_STRUCT_SIZE, .client = client};
  error = original[slot].PJRT_Client_AddressableDevices(&a);
  for (size_t i = 0; error == NULL && i < a.num_addressable_devices; i++) {
    PJRT_Device_GetDescription_Args g = {.struct_size = PJRT_Device_GetDescription_Args_STRUCT_SIZE, .device = a.addressable_devices[i]};
    error = original[slot].PJRT_Device_GetDescription(&g);
    if (error != NULL) {
      break;
    }
    PJRT_DeviceDescription_Kind_Args k = {.struct_size = PJRT_DeviceDescription_Kind_Args_STRUCT_SIZE, .device_description = g.device_description};
    error = original[slot].PJRT_DeviceDescription_Kind(&k);
    if (error == NULL) {
      append(kinds, k.device_kind, k.device_kind_size);
      append(kinds, "\n", 1);
    }
  }
  return error;
}

static PJRT_Error* executable_of(int slot, PJRT_LoadedExecutable* loaded, PJRT_Executable** out) {
  PJRT_LoadedExecutable_GetExecutable_Args g = {.struct_size = PJRT_LoadedExecutable_GetExecutable_Args_STRUCT_SIZE, .loaded_executable = loaded};
  PJRT_Error* error = original[slot].PJRT_LoadedExecutable_GetExecutable(&g);
  *out = g.executable;
  return error;
}

static void executable_free(int slot, PJRT_Executable* executable) {
  PJRT_Executable_Destroy_Args d = {.struct_size = PJRT_Executable_Destroy_Args_STRUCT_SIZE, .executable = executable};
  discard(slot, original[slot].PJRT_Executable_Destroy(&d));
}

PJRT_Error* trm_serialize(int slot, PJRT_LoadedExecutable* loaded, trm_bytes* out) {
  PJRT_Executable* executable;
  PJRT_Error* error = executable_of(slot, loaded, &executable);
  if (error != NULL) {
    return error;
  }
  PJRT_Executable_Serialize_Args s = {.struct_size = PJRT_Executable_Serialize_Args_STRUCT_SIZE, .executable = executable};
  error = original[slot].PJRT_Executable_Serialize(&s);
  if (error == NULL) {
    append(out, s.serialized_bytes, s.serialized_bytes_size);
    if (s.serialized_executable_deleter != NULL) {
      s.serialized_executable_deleter(s.serialized_executable);
    }
  }
  executable_free(slot, executable);
  return error;
}

PJRT_Error* trm_load(int slot, PJRT_Client* client, const char* data, size_t size, PJRT_LoadedExecutable** loaded) {
  PJRT_Executable_DeserializeAndLoad_Args d = {.struct_size = PJRT_Executable_DeserializeAndLoad_Args_STRUCT_SIZE,
    .client = client, .serialized_executable = data, .serialized_executable_size = size};
  PJRT_Error* error = original[slot].PJRT_Executable_DeserializeAndLoad(&d);
  *loaded = d.loaded_executable;
  return error;
}

PJRT_Error* trm_memory_of(int slot, PJRT_LoadedExecutable* loaded, trm_memory* out) {
  PJRT_Executable* executable;
  PJRT_Error* error = executable_of(slot, loaded, &executable);
  if (error != NULL) {
    return error;
  }
  PJRT_Executable_GetCompiledMemoryStats_Args m = {.struct_size = PJRT_Executable_GetCompiledMemoryStats_Args_STRUCT_SIZE, .executable = executable};
  error = original[slot].PJRT_Executable_GetCompiledMemoryStats(&m);
  out->code = m.generated_code_size_in_bytes;
  out->arguments = m.argument_size_in_bytes;
  out->outputs = m.output_size_in_bytes;
  out->alias = m.alias_size_in_bytes;
  out->temporary = m.temp_size_in_bytes;
  executable_free(slot, executable);
  return error;
}

void trm_unload(int slot, PJRT_LoadedExecutable* loaded) {
  PJRT_LoadedExecutable_Destroy_Args d = {.struct_size = PJRT_LoadedExecutable_Destroy_Args_STRUCT_SIZE, .executable = loaded};
  discard(slot, original[slot].PJRT_LoadedExecutable_Destroy(&d));
}

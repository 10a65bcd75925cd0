// A PJRT plugin without a device, for tests: it computes nothing and can be told
// to fail as a TPU's plugin does. Every result is zero, or not a number.
//
//   FAKE_PJRT_MINOR=N         minor version of the API that it says it speaks (83)
//   FAKE_PJRT_MAJOR=N         major version (0)
//   FAKE_PJRT_DEVICES=N       devices (1)
//   FAKE_PJRT_LOCK=FILE       one process at a time, as with libtpu: FILE is locked while it lives
//   FAKE_PJRT_COOLING_MS=N    the device stays in use for so long after its last owner ended (0)
//   FAKE_PJRT_SLICE=1         opening waits for ever unless TPU_PROCESS_BOUNDS is 1,1,1
//   FAKE_PJRT_COMPILE=oom     compiling fails for lack of memory
//   FAKE_PJRT_EXECUTE=oom|nan|crash
//   FAKE_PJRT_EXECUTE_LOADED=crash|crash-later
//                             programs that were serialized and loaded have an illegal instruction; it is met
//                             in Execute, or while the end of the execution is awaited
//   FAKE_PJRT_SERIALIZE=1     programs can be serialized and loaded
//
// Built by the tests: cc -shared -fPIC -I internal/pjrt -o PLUGIN.so fake.c

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pjrt_c_api.h"

#define MAX_RANK 8
#define MAX_DEVICES 8

struct PJRT_Error {
  PJRT_Error_Code code;
  char message[512];
};
struct PJRT_DeviceDescription {
  int id;
};
struct PJRT_Device {
  struct PJRT_DeviceDescription description;
};
struct PJRT_Client {
  int num_devices;
  struct PJRT_Device devices[MAX_DEVICES];
  PJRT_Device* list[MAX_DEVICES];
};
struct PJRT_Event {
  bool crash;
};
typedef struct {
  PJRT_Buffer_Type type;
  size_t rank;
  int64_t dims[MAX_RANK];
} Shape;
struct PJRT_Buffer {
  Shape shape;
  size_t size;
  void* data;
  PJRT_Device* device;
};
struct PJRT_Executable {
  char name[128];
  size_t num_outputs;
  Shape* outputs;
  PJRT_Client* client;
};
struct PJRT_LoadedExecutable {
  PJRT_Executable* executable;
  bool deserialized;
};

static const char* setting(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value != NULL && *value != 0 ? value : otherwise;
}

static int number(const char* name, int otherwise) {
  const char* value = getenv(name);
  return value != NULL && *value != 0 ? atoi(value) : otherwise;
}

static PJRT_Error* fail(PJRT_Error_Code code, const char* message) {
  PJRT_Error* e = calloc(1, sizeof *e);
  e->code = code;
  snprintf(e->message, sizeof e->message, "%s", message);
  return e;
}

static PJRT_Error* unimplemented(void* args) {
  (void)args;
  return fail(PJRT_Error_Code_UNIMPLEMENTED, "the fake plugin cannot do this");
}

static void error_destroy(PJRT_Error_Destroy_Args* a) { free(a->error); }

static void error_message(PJRT_Error_Message_Args* a) {
  a->message = a->error->message;
  a->message_size = strlen(a->error->message);
}

static PJRT_Error* error_code(PJRT_Error_GetCode_Args* a) {
  a->code = a->error->code;
  return NULL;
}

static PJRT_Error* plugin_initialize(PJRT_Plugin_Initialize_Args* a) {
  (void)a;
  return NULL;
}

static PJRT_Error* plugin_attributes(PJRT_Plugin_Attributes_Args* a) {
  a->attributes = NULL;
  a->num_attributes = 0;
  return NULL;
}

static PJRT_Error* event_done(void* args) {
  (void)args;
  return NULL;
}

static PJRT_Error* event_destroy(PJRT_Event_Destroy_Args* a) {
  free(a->event);
  return NULL;
}

static PJRT_Error* event_is_ready(PJRT_Event_IsReady_Args* a) {
  a->is_ready = true;
  return NULL;
}

static PJRT_Error* event_await(PJRT_Event_Await_Args* a) {
  if (a->event->crash) raise(SIGILL);
  return NULL;
}

static PJRT_Event* event(void) { return calloc(1, sizeof(PJRT_Event)); }

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

// own takes the device. The lock file holds the owner's number while it lives;
// whoever first finds it dead writes down when, and the device cools from then on.
static PJRT_Error* own(const char* file) {
  char text[64] = {0}, message[256];
  int fd = open(file, O_CREAT | O_RDWR, 0644);
  if (fd < 0) return fail(PJRT_Error_Code_INTERNAL, "lock file cannot be opened");
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(fd, F_SETLK, &whole) != 0) {
    struct flock by = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_GETLK, &by);
    snprintf(message, sizeof message, "The TPU is already in use by process with pid %d. Not attempting to load libtpu in this process.", (int)by.l_pid);
    close(fd);
    return fail(PJRT_Error_Code_ABORTED, message);
  }
  int cooling = number("FAKE_PJRT_COOLING_MS", 0);
  if (read(fd, text, sizeof text - 1) > 0 && cooling > 0) {
    long long died = 0;
    if (sscanf(text, "died %lld", &died) != 1) {
      died = now_ms();
      snprintf(text, sizeof text, "died %lld\n", died);
      if (pwrite(fd, text, strlen(text), 0) < 0 || ftruncate(fd, strlen(text)) != 0) perror("fake plugin");
    }
    if (now_ms() - died < cooling) {
      close(fd);
      return fail(PJRT_Error_Code_ABORTED, "The TPU is already in use by another process. Not attempting to load libtpu in this process.");
    }
  }
  snprintf(text, sizeof text, "owner %d\n", (int)getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text, strlen(text), 0) < 0) perror("fake plugin");
  return NULL;  // fd stays open: the lock ends with the process
}

static PJRT_Error* client_create(PJRT_Client_Create_Args* a) {
  if (number("FAKE_PJRT_SLICE", 0) && strcmp(setting("TPU_PROCESS_BOUNDS", ""), "1,1,1") != 0) {
    for (;;) pause();
  }
  const char* lock = getenv("FAKE_PJRT_LOCK");
  if (lock != NULL && *lock != 0) {
    PJRT_Error* busy = own(lock);
    if (busy != NULL) return busy;
  }
  PJRT_Client* c = calloc(1, sizeof *c);
  c->num_devices = number("FAKE_PJRT_DEVICES", 1);
  if (c->num_devices > MAX_DEVICES) c->num_devices = MAX_DEVICES;
  for (int i = 0; i < c->num_devices; i++) {
    c->devices[i].description.id = i;
    c->list[i] = &c->devices[i];
  }
  a->client = c;
  return NULL;
}

static PJRT_Error* client_destroy(PJRT_Client_Destroy_Args* a) {
  free(a->client);
  return NULL;
}

static PJRT_Error* client_platform_name(PJRT_Client_PlatformName_Args* a) {
  a->platform_name = "fake";
  a->platform_name_size = 4;
  return NULL;
}

static PJRT_Error* client_platform_version(PJRT_Client_PlatformVersion_Args* a) {
  a->platform_version = "1";
  a->platform_version_size = 1;
  return NULL;
}

static PJRT_Error* client_process_index(PJRT_Client_ProcessIndex_Args* a) {
  a->process_index = 0;
  return NULL;
}

static PJRT_Error* client_devices(PJRT_Client_Devices_Args* a) {
  a->devices = a->client->list;
  a->num_devices = a->client->num_devices;
  return NULL;
}

static PJRT_Error* client_addressable_devices(PJRT_Client_AddressableDevices_Args* a) {
  a->addressable_devices = a->client->list;
  a->num_addressable_devices = a->client->num_devices;
  return NULL;
}

static PJRT_Error* device_description(PJRT_Device_GetDescription_Args* a) {
  a->device_description = &a->device->description;
  return NULL;
}

static PJRT_Error* device_is_addressable(PJRT_Device_IsAddressable_Args* a) {
  a->is_addressable = true;
  return NULL;
}

static PJRT_Error* device_local_hardware_id(PJRT_Device_LocalHardwareId_Args* a) {
  a->local_hardware_id = a->device->description.id;
  return NULL;
}

static PJRT_Error* description_id(PJRT_DeviceDescription_Id_Args* a) {
  a->id = a->device_description->id;
  return NULL;
}

static PJRT_Error* description_process_index(PJRT_DeviceDescription_ProcessIndex_Args* a) {
  a->process_index = 0;
  return NULL;
}

static PJRT_Error* description_kind(PJRT_DeviceDescription_Kind_Args* a) {
  a->device_kind = "fake chip";
  a->device_kind_size = 9;
  return NULL;
}

static PJRT_Error* description_debug_string(PJRT_DeviceDescription_DebugString_Args* a) {
  a->debug_string = "fake chip";
  a->debug_string_size = 9;
  return NULL;
}

static PJRT_Error* description_to_string(PJRT_DeviceDescription_ToString_Args* a) {
  a->to_string = "fake chip";
  a->to_string_size = 9;
  return NULL;
}

static const struct {
  const char* name;
  PJRT_Buffer_Type type;
} types[] = {
    {"i1", PJRT_Buffer_Type_PRED}, {"i8", PJRT_Buffer_Type_S8},    {"ui8", PJRT_Buffer_Type_U8},   {"i32", PJRT_Buffer_Type_S32},
    {"i64", PJRT_Buffer_Type_S64}, {"bf16", PJRT_Buffer_Type_BF16}, {"f32", PJRT_Buffer_Type_F32}, {"f64", PJRT_Buffer_Type_F64},
};

static size_t width(PJRT_Buffer_Type t) {
  switch (t) {
    case PJRT_Buffer_Type_BF16:
      return 2;
    case PJRT_Buffer_Type_S32:
    case PJRT_Buffer_Type_F32:
      return 4;
    case PJRT_Buffer_Type_S64:
    case PJRT_Buffer_Type_F64:
      return 8;
    default:
      return 1;
  }
}

// read_shape reads "tensor<2x3xf32>" and returns what follows, or NULL.
static const char* read_shape(const char* text, Shape* s) {
  memset(s, 0, sizeof *s);
  if (strncmp(text, "tensor<", 7) != 0) return NULL;
  text += 7;
  while (*text >= '0' && *text <= '9' && s->rank < MAX_RANK) {
    char* end;
    s->dims[s->rank++] = strtoll(text, &end, 10);
    if (*end != 'x') return NULL;
    text = end + 1;
  }
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    size_t n = strlen(types[i].name);
    if (strncmp(text, types[i].name, n) == 0 && text[n] == '>') {
      s->type = types[i].type;
      return text + n + 1;
    }
  }
  return NULL;
}

// read_outputs finds the results of the program's last return: "stablehlo.return"(...) : (tensor<...>, ...) -> ()
static int read_outputs(const char* program, PJRT_Executable* x) {
  const char* at = NULL;
  for (const char* p = program; (p = strstr(p, "\"stablehlo.return\"")) != NULL; p++) at = p;
  if (at == NULL || (at = strstr(at, ") : (")) == NULL) return 0;
  at += 5;
  while (*at != ')') {
    Shape s;
    if ((at = read_shape(at, &s)) == NULL) return 0;
    x->outputs = realloc(x->outputs, (x->num_outputs + 1) * sizeof(Shape));
    x->outputs[x->num_outputs++] = s;
    if (strncmp(at, ", ", 2) == 0) at += 2;
  }
  return 1;
}

static PJRT_Error* client_compile(PJRT_Client_Compile_Args* a) {
  if (strcmp(setting("FAKE_PJRT_COMPILE", ""), "oom") == 0)
    return fail(PJRT_Error_Code_RESOURCE_EXHAUSTED, "Ran out of memory in memory space hbm. Used 36.63G of 30.75G hbm. Exceeded hbm capacity by 5.88G.");
  char* program = strndup(a->program->code, a->program->code_size);
  PJRT_Executable* x = calloc(1, sizeof *x);
  x->client = a->client;
  sscanf(program, "module @%127[A-Za-z0-9_.]", x->name);
  int ok = read_outputs(program, x);
  free(program);
  if (!ok) return fail(PJRT_Error_Code_INVALID_ARGUMENT, "the fake plugin cannot read the program's results");
  PJRT_LoadedExecutable* loaded = calloc(1, sizeof *loaded);
  loaded->executable = x;
  a->executable = loaded;
  return NULL;
}

static PJRT_Error* get_executable(PJRT_LoadedExecutable_GetExecutable_Args* a) {
  a->executable = a->loaded_executable->executable;
  return NULL;
}

static PJRT_Error* loaded_destroy(PJRT_LoadedExecutable_Destroy_Args* a) {
  free(a->executable);
  return NULL;
}

static PJRT_Error* executable_destroy(PJRT_Executable_Destroy_Args* a) {
  (void)a;  // the loaded executable still has it
  return NULL;
}

static PJRT_Error* executable_name(PJRT_Executable_Name_Args* a) {
  a->executable_name = a->executable->name;
  a->executable_name_size = strlen(a->executable->name);
  return NULL;
}

static PJRT_Error* executable_num_outputs(PJRT_Executable_NumOutputs_Args* a) {
  a->num_outputs = a->executable->num_outputs;
  return NULL;
}

static PJRT_Error* executable_memory(PJRT_Executable_GetCompiledMemoryStats_Args* a) {
  (void)a;  // all zero
  return NULL;
}

static void serialized_free(PJRT_SerializedExecutable* serialized) { free(serialized); }

// executable_serialize writes the name and the results' shapes.
static PJRT_Error* executable_serialize(PJRT_Executable_Serialize_Args* a) {
  if (!number("FAKE_PJRT_SERIALIZE", 0)) return unimplemented(a);
  PJRT_Executable* x = a->executable;
  size_t shapes = x->num_outputs * sizeof(Shape), size = sizeof x->name + shapes;
  char* data = calloc(1, size);
  memcpy(data, x->name, sizeof x->name);
  memcpy(data + sizeof x->name, x->outputs, shapes);
  a->serialized_bytes = data;
  a->serialized_bytes_size = size;
  a->serialized_executable = (PJRT_SerializedExecutable*)data;
  a->serialized_executable_deleter = serialized_free;
  return NULL;
}

static PJRT_Error* deserialize(PJRT_Executable_DeserializeAndLoad_Args* a) {
  PJRT_Executable* x = calloc(1, sizeof *x);
  x->client = a->client;
  memcpy(x->name, a->serialized_executable, sizeof x->name);
  size_t shapes = a->serialized_executable_size - sizeof x->name;
  x->num_outputs = shapes / sizeof(Shape);
  x->outputs = malloc(shapes);
  memcpy(x->outputs, a->serialized_executable + sizeof x->name, shapes);
  a->loaded_executable = calloc(1, sizeof *a->loaded_executable);
  a->loaded_executable->executable = x;
  a->loaded_executable->deserialized = true;
  return NULL;
}

static size_t bytes(const Shape* s) {
  size_t n = width(s->type);
  for (size_t i = 0; i < s->rank; i++) n *= s->dims[i];
  return n;
}

static PJRT_Buffer* buffer(const Shape* s, PJRT_Device* device) {
  PJRT_Buffer* b = calloc(1, sizeof *b);
  b->shape = *s;
  b->size = bytes(s);
  b->data = calloc(1, b->size + 1);
  b->device = device;
  return b;
}

static PJRT_Error* execute(PJRT_LoadedExecutable_Execute_Args* a) {
  const char* how = setting("FAKE_PJRT_EXECUTE", "");
  if (strcmp(how, "oom") == 0) return fail(PJRT_Error_Code_RESOURCE_EXHAUSTED, "Error allocating device buffer: attempting to allocate 2.00G. That was not possible. There are 1.10G free.");
  if (strcmp(how, "crash") == 0) raise(SIGSEGV);
  const char* crash = a->executable->deserialized ? setting("FAKE_PJRT_EXECUTE_LOADED", "") : "";
  if (strcmp(crash, "crash") == 0) raise(SIGILL);
  PJRT_Executable* x = a->executable->executable;
  for (size_t d = 0; d < a->num_devices; d++) {
    for (size_t i = 0; i < x->num_outputs; i++) {
      PJRT_Buffer* b = buffer(&x->outputs[i], a->execute_device != NULL ? a->execute_device : x->client->list[d]);
      int floating = b->shape.type == PJRT_Buffer_Type_F32 || b->shape.type == PJRT_Buffer_Type_F64 || b->shape.type == PJRT_Buffer_Type_BF16;
      if (strcmp(how, "nan") == 0 && floating) memset(b->data, 0xff, b->size);  // not a number in each of the three
      a->output_lists[d][i] = b;
    }
    if (a->device_complete_events != NULL) {
      a->device_complete_events[d] = event();
      a->device_complete_events[d]->crash = strcmp(crash, "crash-later") == 0;
    }
  }
  return NULL;
}

static PJRT_Error* buffer_from_host(PJRT_Client_BufferFromHostBuffer_Args* a) {
  Shape s = {.type = a->type, .rank = a->num_dims};
  if (a->num_dims > MAX_RANK) return fail(PJRT_Error_Code_INVALID_ARGUMENT, "too many axes for the fake plugin");
  for (size_t i = 0; i < a->num_dims; i++) s.dims[i] = a->dims[i];
  a->buffer = buffer(&s, a->device != NULL ? a->device : a->client->list[0]);
  memcpy(a->buffer->data, a->data, a->buffer->size);
  a->done_with_host_buffer = event();
  return NULL;
}

static PJRT_Error* buffer_to_host(PJRT_Buffer_ToHostBuffer_Args* a) {
  if (a->dst == NULL) {
    a->dst_size = a->src->size;
    return NULL;
  }
  memcpy(a->dst, a->src->data, a->dst_size < a->src->size ? a->dst_size : a->src->size);
  a->event = event();
  return NULL;
}

static PJRT_Error* buffer_destroy(PJRT_Buffer_Destroy_Args* a) {
  free(a->buffer->data);
  free(a->buffer);
  return NULL;
}

static PJRT_Error* buffer_element_type(PJRT_Buffer_ElementType_Args* a) {
  a->type = a->buffer->shape.type;
  return NULL;
}

static PJRT_Error* buffer_dimensions(PJRT_Buffer_Dimensions_Args* a) {
  a->dims = a->buffer->shape.dims;
  a->num_dims = a->buffer->shape.rank;
  return NULL;
}

static PJRT_Error* buffer_device(PJRT_Buffer_Device_Args* a) {
  a->device = a->buffer->device;
  return NULL;
}

static PJRT_Error* buffer_ready_event(PJRT_Buffer_ReadyEvent_Args* a) {
  a->event = event();
  return NULL;
}

const PJRT_Api* GetPjrtApi(void) {
  static PJRT_Api api;
  // Every function that is not named below answers with an error.
  void (**slot)(void) = (void (**)(void))((char*)&api + offsetof(PJRT_Api, PJRT_Error_Destroy));
  for (; (char*)slot < (char*)(&api + 1); slot++) *slot = (void (*)(void))unimplemented;
  api.struct_size = PJRT_Api_STRUCT_SIZE;
  api.pjrt_api_version.struct_size = PJRT_Api_Version_STRUCT_SIZE;
  api.pjrt_api_version.major_version = number("FAKE_PJRT_MAJOR", PJRT_API_MAJOR);
  api.pjrt_api_version.minor_version = number("FAKE_PJRT_MINOR", PJRT_API_MINOR);
  api.PJRT_Error_Destroy = error_destroy;
  api.PJRT_Error_Message = error_message;
  api.PJRT_Error_GetCode = error_code;
  api.PJRT_Plugin_Initialize = plugin_initialize;
  api.PJRT_Plugin_Attributes = plugin_attributes;
  api.PJRT_Event_Destroy = event_destroy;
  api.PJRT_Event_IsReady = event_is_ready;
  api.PJRT_Event_Error = (PJRT_Event_Error*)event_done;
  api.PJRT_Event_Await = event_await;
  api.PJRT_Client_Create = client_create;
  api.PJRT_Client_Destroy = client_destroy;
  api.PJRT_Client_PlatformName = client_platform_name;
  api.PJRT_Client_PlatformVersion = client_platform_version;
  api.PJRT_Client_ProcessIndex = client_process_index;
  api.PJRT_Client_Devices = client_devices;
  api.PJRT_Client_AddressableDevices = client_addressable_devices;
  api.PJRT_Client_Compile = client_compile;
  api.PJRT_Client_BufferFromHostBuffer = buffer_from_host;
  api.PJRT_Device_GetDescription = device_description;
  api.PJRT_Device_IsAddressable = device_is_addressable;
  api.PJRT_Device_LocalHardwareId = device_local_hardware_id;
  api.PJRT_DeviceDescription_Id = description_id;
  api.PJRT_DeviceDescription_ProcessIndex = description_process_index;
  api.PJRT_DeviceDescription_Kind = description_kind;
  api.PJRT_DeviceDescription_DebugString = description_debug_string;
  api.PJRT_DeviceDescription_ToString = description_to_string;
  api.PJRT_LoadedExecutable_GetExecutable = get_executable;
  api.PJRT_LoadedExecutable_Destroy = loaded_destroy;
  api.PJRT_LoadedExecutable_Execute = execute;
  api.PJRT_Executable_Destroy = executable_destroy;
  api.PJRT_Executable_Name = executable_name;
  api.PJRT_Executable_NumOutputs = executable_num_outputs;
  api.PJRT_Executable_GetCompiledMemoryStats = executable_memory;
  api.PJRT_Executable_Serialize = executable_serialize;
  api.PJRT_Executable_DeserializeAndLoad = deserialize;
  api.PJRT_Buffer_ToHostBuffer = buffer_to_host;
  api.PJRT_Buffer_Destroy = buffer_destroy;
  api.PJRT_Buffer_ElementType = buffer_element_type;
  api.PJRT_Buffer_Dimensions = buffer_dimensions;
  api.PJRT_Buffer_Device = buffer_device;
  api.PJRT_Buffer_ReadyEvent = buffer_ready_event;
  return &api;
}

// The table that go-xla calls instead of a plugin's own, and what Go asks of a plugin.
#ifndef TRMSWEEP_PJRT_TABLE_H_
#define TRMSWEEP_PJRT_TABLE_H_

#include "pjrt_c_api.h"

// C functions have no closures: each plugin has its own copies of the functions
// that replace its own, as many as there are slots.
enum { TRM_SLOTS = 8 };

// What is told of a program that was compiled or loaded.
typedef struct {
  int64_t code, arguments, outputs, alias, temporary;
} trm_memory;

// An owned copy of bytes of the plugin; free with trm_free.
typedef struct {
  char* data;
  size_t size;
} trm_bytes;

// trm_dlopen returns the plugin's table, or NULL and what the loader said (free it).
const PJRT_Api* trm_dlopen(const char* path, char** why);

// trm_table_make fills the slot's table. real is never looked at again.
// It is called once for each slot, under the caller's lock.
const PJRT_Api* trm_table_make(int slot, const PJRT_Api* real);

// What follows calls the plugin's own functions. A NULL error is success.
PJRT_Error* trm_create(int slot, PJRT_Client_Create_Args* args);
PJRT_Error* trm_compile(int slot, PJRT_Client_Compile_Args* args);
PJRT_Error* trm_compile_code(int slot, PJRT_Client_Compile_Args* args, char* code, size_t size);
PJRT_Error* trm_platform(int slot, PJRT_Client* client, trm_bytes* name, trm_bytes* version);
PJRT_Error* trm_devices(int slot, PJRT_Client* client, size_t* all, trm_bytes* kinds);
PJRT_Error* trm_serialize(int slot, PJRT_LoadedExecutable* loaded, trm_bytes* out);
PJRT_Error* trm_load(int slot, PJRT_Client* client, const char* data, size_t size, PJRT_LoadedExecutable** loaded);
PJRT_Error* trm_execute(int slot, PJRT_LoadedExecutable_Execute_Args* args);
// trm_execute_and_wait also waits for the end on every device, and says whether it was good.
PJRT_Error* trm_execute_and_wait(int slot, PJRT_LoadedExecutable_Execute_Args* args, bool* good);
PJRT_Error* trm_memory_of(int slot, PJRT_LoadedExecutable* loaded, trm_memory* out);
void trm_unload(int slot, PJRT_LoadedExecutable* loaded);

// trm_on_trial sets how many programs wait for their first execution: while there are any, executions go through trmsweepExecute.
void trm_on_trial(int slot, int programs);

// trm_error_not_cached makes the error for a program that may only be loaded.
PJRT_Error* trm_error_not_cached(void);

// trm_error_text frees the error and returns its message; free it.
char* trm_error_text(int slot, PJRT_Error* error, int* code);
void trm_free(void* p);

// Written in Go.
extern PJRT_Error* trmsweepCreate(int slot, PJRT_Client_Create_Args* args);
extern PJRT_Error* trmsweepCompile(int slot, PJRT_Client_Compile_Args* args);
extern PJRT_Error* trmsweepExecute(int slot, PJRT_LoadedExecutable_Execute_Args* args);

#endif

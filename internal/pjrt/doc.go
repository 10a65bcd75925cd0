// Package pjrt is a layer between go-xla (and so GoMLX) and a PJRT plugin, the shared
// library that compiles and executes programs for one kind of device:
//
//	GoMLX -> go-xla -> function table of this package -> plugin (libtpu, CUDA, CPU)
//
// It opens the plugin, checks that go-xla can use its version of the API, and gives go-xla
// a table in which some functions are replaced:
//
//   - PJRT_Client_Create, to learn what a client is (plugin.go);
//   - PJRT_Client_Compile, to finish the program's text (alias.go) and to look
//     for the program in the cache of compiled ones (compile.go, cache.go);
//   - PJRT_LoadedExecutable_Execute, for donation on several devices (table.c),
//     and to learn that a loaded program can be executed (execute.go);
//   - the functions of errors, because some errors are made here (table.c).
//
// A table is made once and never changed. If something fails in a replacement, it calls the
// plugin's own function.
//
// pjrt_c_api.h is OpenXLA's header of PJRT API 0.83, Apache-2.0, as go-xla
// v0.1.4 has it: cgo cannot include a header of another module.
package pjrt

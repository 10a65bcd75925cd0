// Package pjrt stands between go-xla and a PJRT plugin. It opens the plugin's
// shared library, checks that its API can be spoken to, and gives go-xla a
// function table in which single functions are replaced by ours:
//
//   - PJRT_Client_Create, to know what a client is (plugin.go);
//   - PJRT_Client_Compile, to finish the program's text (alias.go) and to look
//     for it among those that were compiled before (compile.go, cache.go);
//   - PJRT_LoadedExecutable_Execute, for donation on several devices (table.c),
//     and to know that a loaded program can be executed (execute.go);
//   - the functions of errors, since some errors are ours (table.c).
//
// A table is made once and never changed. What fails here falls back to the
// plugin's own function.
//
// pjrt_c_api.h is OpenXLA's header of PJRT API 0.83, Apache-2.0, as go-xla
// v0.1.4 has it: cgo cannot include a header of another module.
package pjrt

// Package pjrt stands between go-xla and a PJRT plugin. It opens the plugin's
// shared library, checks that its API can be spoken to, and gives go-xla a
// function table in which single functions are replaced by ours.
//
// pjrt_c_api.h is OpenXLA's header of PJRT API 0.83, Apache-2.0, as go-xla
// v0.1.4 has it: cgo cannot include a header of another module.
package pjrt

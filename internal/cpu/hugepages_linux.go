package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of the large pages that Linux can back memory with.
const hugePage = 2 << 20

// advise asks for large pages under memory that holds no pointers: an execution walks through all of an arena, and looking up its pages
// of 4 KiB takes time. Nothing changes if the system does not give them.
func advise(p unsafe.Pointer, size uintptr) {
	skip := -uintptr(p) & (hugePage - 1)
	if size < skip+hugePage {
		return
	}
	size = (size - skip) &^ (hugePage - 1)
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, skip)), size), unix.MADV_HUGEPAGE)
}

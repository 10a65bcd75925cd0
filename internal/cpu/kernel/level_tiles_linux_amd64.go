package kernel

import "golang.org/x/sys/unix"

// allowTiles asks Linux for the tile registers, which a process may only use after that. Threads started later inherit the permission.
func allowTiles() bool {
	const request, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, request, tileData, 0)
	return errno == 0
}

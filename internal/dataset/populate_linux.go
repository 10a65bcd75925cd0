package dataset

import "syscall"

const mapPopulate = syscall.MAP_POPULATE

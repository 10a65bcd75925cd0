// Package cpu is a GoMLX backend in Go and assembly, registered under the name "cpu". It supports the operations and
// data types that TRM's graphs use and refuses everything else with an error. It never downloads, never needs cgo, and
// its results do not depend on the number of threads.
//
// Configuration: "cpu" (as many threads as GOMAXPROCS) or "cpu:threads=2".
//
// # Overview
//
// GoMLX calls the methods of a builder, one per operation. They check shapes and add nodes to a graph. Compile turns the
// graph into a schedule: a list of steps, each a Go function that already knows its operands' strides and memory.
// Everything that depends on the graph alone is decided at compile time, so an execution allocates nothing.
//
//	GoMLX graph
//	    | builder*.go              one node per operation, shapes checked
//	    v
//	graph of nodes                 graph.go
//	    | cse_dce.go               dead code, no-ops and common subexpressions are removed
//	    | kind.go                  each node: view, elementwise, reduction epilogue, matrix product, standalone
//	    | tiling.go, partition.go  nodes are divided into groups; a tiled group runs tile by tile
//	    | rematerialise.go         cheap operations are computed again in later tiled groups instead of being kept
//	    v
//	groups                         group.go
//	    | fusion.go, swiglu.go     elementwise nodes and reductions become fused loops; SwiGLU becomes one kernel
//	    | fusion_build.go          a fused loop's program: registers, loads, stores, slots
//	    | lower*.go, copy.go       every other node becomes a step
//	    v
//	schedule of steps              schedule.go
//	    | buffer_assignment.go     values that do not live at the same time share memory of one arena
//	    v
//	executable                     executable.go, driven by compile.go
//
// # Values and memory
//
// A storage is memory, a value is a strided view of one (value.go). Transposes, reshapes, slices and broadcasts are
// views where strides can express them, and copies otherwise. A storage lies in the arena of the executable, in a
// parameter's or a result's device buffer, in a constant, or in the scratch memory of one thread (worker.go).
//
// # Execution
//
// ExecuteInto binds the parameters' device buffers, borrows an arena and runs the steps in order. A step of a group of
// whole values spreads one operation over all threads of the pool. The one step of a tiled group spreads tiles over the
// threads: a thread takes a tile through all operations of the group, so that intermediate values stay in the nearest
// cache. How values are cut never depends on the number of threads.
//
// The arithmetic itself is in package kernel.
package cpu

// Package kernel holds the compute kernels of the pure-Go backend: matrix products, vectorised float32 arithmetic,
// sums, SwiGLU, bfloat16 conversion and a small worker pool. It knows nothing of graphs.
//
// Matrices are float32 slices with element strides; bfloat16 values are uint16 slices. Lengths are the caller's duty:
// every function works on len(dst) elements (or the stated shape) and panics when an operand is shorter.
//
// Aliasing: elementwise functions allow dst to be exactly one of the operands (same start), never a shifted overlap.
// Matrix products and transposes need outputs that overlap no input.
//
// Determinism: one level (see Level) gives the same bits for any pool size and any split of rows or columns; the levels differ
// from each other in the last bits. Elementwise functions give every element the same bits wherever it lies in the slice.
// Nothing here allocates once its scratch buffers have grown to the problem.
package kernel

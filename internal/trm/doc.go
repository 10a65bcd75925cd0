// Package trm is the Tiny Recursive Model of arXiv 2510.04871 as GoMLX graphs: forward pass, losses, AdamATan2, SignSGD, EMA, carry and
// halting, following the official code number by number. It reads no files and knows no service.
//
// # Overview
//
// A Model keeps the training state in device buffers, one per named array: weights (param/), moments (adam_m/, adam_v/), averages (ema/),
// the puzzle embedding (puzzle_emb/), the fixed start of the recursion (const/) and the carry (carry/), which is what every slot of the
// batch goes on with: its puzzle, its recursive state, and how many supervision steps it has made. Four programs, each a compiled
// graph, work on these buffers:
//
//	gradients      batch, param/, puzzle_emb/, const/, carry/  ->  grad/, next/, loss, metrics    gradient_graph.go
//	add_gradients  sum/, grad/                                 ->  grad/                          shards.go
//	apply          grad/, param/, adam_m/, adam_v/, ema/       ->  the same but grad/             apply_graph.go
//	evaluate       rows, ema/ (or param/), const/, z_H, z_L    ->  z_H, z_L, predictions          eval_graph.go
//
// # One step
//
// Step is Gradients, which has three phases, then Apply:
//
//	compute  for every shard of the batch: feed its rows -> run gradients -> run add_gradients as often as two sums are there
//	agree    read one number of every shard: the loss, or NaN if anything is not finite; and one of the last sum
//	         NaN:    gradients and next/ are dropped; the state is what it was
//	commit   finite: next/ becomes carry/, of every shard
//	apply    feed the learning rates -> run apply
//
// A batch of one shard has no add_gradients program. Several shards share the weights and the programs; each has its carry and its next/.
//
// Donation: add_gradients is given both of its operands, and writes the sum in the memory of grad/. Apply is given the old weights,
// moments, averages and gradients, and writes the new ones in their memory. If it fails, the state is gone and Load comes next. The
// gradients program is not given carry/, because a step that is not finite must leave it. It writes
// next/, in the memory of the carry before the last one if the backend can alias results and inputs. The evaluation is given z_H and z_L.
// A backend that does not take donations keeps both until the program has run.
//
// # Gradients of the graphs
//
// An embedding is a matrix product with one-hot rows, and the gradient of a matrix product is made of matrix products (vjp.go). So no
// graph needs an operation that a backend may lack.
package trm

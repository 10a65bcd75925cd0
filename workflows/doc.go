// Package workflows is the study as Temporal runs it. Workflows are deterministic and thin:
// whatever touches files, storage or hosts is an activity, and what can be decided without
// Temporal is in package study.
//
// Users start a sweep (AllAblations, TNSweep, BatchSweep) with a study.SweepInput and get a
// study.SweepResult: a row for each experiment, and where the reports lie. The workflows:
//
//	sweep                     plan, preflight, dataset, trials, training, report
//	├── DatasetGeneration     makes what the experiments train on
//	├── Phase                 experiments of one phase, at most parallelism at once
//	│   └── Experiment        one run: attempts until it is trained
//	└── Experiment            one that a user added or started again while the sweep ran
//
// Experiment, DatasetGeneration and Preflight can be started by users too.
//
// A sweep trains in rounds of at most 250 experiments. Between two rounds nothing runs, and a
// sweep whose history has become long continues as new. Rows that were added or started again
// wait for a slot of their own and run beside the phases. File row.go has the stages of a row.
//
// An Experiment asks for one attempt after the other: the activity Train, on a host. When an
// attempt fails, retry.go decides whether another one is worth it.
//
//	          +--------------------- another attempt <---------------------+
//	          v                                                            |
//	queued -----> running ---> attempt ends ---> done                      |
//	  ^                             |                                      |
//	  |                             +---> retry policy --------------------+
//	  |                             |         +---> failed
//	  |    pause                    |
//	paused <------ command ---------+---> skipped, stopped
//	resume
//
// Commands (pause, resume, skip, retry, stop, priority, and of sweeps add_seeds and extend) come
// as updates to a sweep or an experiment. A sweep passes them on as signals: to the experiment,
// to the phase if the experiment has not begun, or to its own row if no phase has it yet. An
// attempt that must end saves first, so a command is answered between two attempts, at once
// when an experiment waits.
//
// What goes back up is only what somebody decides by, since every signal makes a history longer:
// an attempt signals study.Progress to its experiment when it begins, at evaluations that decide
// something, and at a checkpoint every few minutes; experiments and phases signal study.Standing
// to the sweep. How far an attempt has come is in its heartbeats, which are no events: the
// command status reads them. Everybody answers the query "progress".
//
// Replay tests hold the code against recorded histories in testdata; docs/ARCHITECTURE.md says
// how to change a workflow of which executions may be running.
package workflows

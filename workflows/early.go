package workflows

import (
	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/study"
)

// watch notes evaluations and, if asked to, ends a run that has collapsed.
func (x *training) watch(p study.Progress) {
	why := x.res.Evaluated(p)
	if why != "" && x.in.StopOnCollapse && x.stop != nil {
		x.act(study.Command{Action: study.ActionStop, Reason: why})
	}
}

// halve stops a row that successive halving does not let go on.
func (s *sweep) halve(ctx workflow.Context, i int) {
	r := s.res.Experiments[i]
	if r.Item.SameAs != "" || study.Over(r.Status) {
		return
	}
	why := s.halving.Reached(r)
	if why == "" {
		return
	}
	s.note(r.Item.ID + " " + why)
	workflow.Go(ctx, func(ctx workflow.Context) { s.tell(ctx, i, study.Command{Action: study.ActionStop, Reason: why}) })
}

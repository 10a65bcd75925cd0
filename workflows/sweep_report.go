package workflows

import (
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
)

// show publishes the sweep's page in the Web UI and its search attributes.
func (s *sweepState) show(ctx workflow.Context) {
	res := s.result()
	s.head.Hosts = res.Hosts // a maximum over time
	workflow.SetCurrentDetails(ctx, res.Markdown())
	now := searchAttributes{status: res.Status, holdup: res.HeldUp().Kind, goodput: res.Goodput.Share(res.WallSeconds)}
	for _, r := range res.Experiments {
		now.take(r.Outcome)
		if r.Item.SameAs == "" {
			now.step += r.Progress.Step
			now.preemptions += int64(r.Preemptions)
		}
	}
	s.attributes.update(ctx, now, attrSweep.ValueSet(res.Sweep))
}

// report writes the report of what is finished so far.
func (s *sweepState) report(ctx workflow.Context, what string, final bool) {
	res := s.result()
	in := activities.ReportInput{
		Sweep:      res.Sweep,
		Goodput:    res.Goodput,
		Failures:   map[string]string{},
		Stopped:    map[string]string{},
		Accounting: map[string]protocol.Accounting{},
		Final:      final,
	}
	for _, r := range res.Experiments {
		in.Items = append(in.Items, r.Item)
		if r.WallSeconds > 0 {
			in.Accounting[r.Item.ID] = protocol.Accounting{
				WallSeconds: r.WallSeconds,
				Goodput:     r.Goodput,
				FromStep:    r.StartStep,
				Preemptions: r.Preemptions,
				LostSteps:   r.LostSteps,
			}
		}
		if r.Error != "" {
			in.Failures[r.Item.ID] = r.Error[:min(len(r.Error), 300)]
		}
		if why := r.EndedEarly(); why != "" {
			in.Stopped[r.Item.ID] = why[:min(len(why), 300)]
		}
	}
	var out activities.ReportResult
	if err := workflow.ExecuteActivity(lightActivity(ctx, "report after "+what), acts.Report, in).Get(ctx, &out); err != nil {
		s.note("report: " + rootMessage(err))
		return
	}
	s.head.Reports = out.Keys
}

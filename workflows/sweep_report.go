package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// show publishes the sweep's page in the Web UI and its search attributes.
func (s *sweepState) show(ctx workflow.Context) {
	res := s.result()
	workflow.SetCurrentDetails(ctx, res.Markdown(workflow.Now(ctx)))
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

// Looks at what is training: the first gives a young sweep its time left, and the page of one in which nothing else
// happens is not older than the time between two. A look makes the history a dozen events longer.
const (
	firstRefresh = 2 * time.Minute
	refreshEvery = time.Hour
)

// refresh keeps the sweep's page from becoming too old while its experiments do nothing but train.
func (s *sweepState) refresh(ctx workflow.Context) {
	options := workflow.TimerOptions{Summary: "until the page is refreshed"}
	wait := firstRefresh
	for workflow.NewTimerWithOptions(ctx, wait, options).Get(ctx, nil) == nil {
		wait = refreshEvery
		var rows []*row
		var ids []string
		for _, r := range s.rows {
			if r.trains() && progresses(r.result) {
				rows = append(rows, r)
				ids = append(ids, experimentID(s.head.Sweep, r.result.Item))
			}
		}
		if len(rows) == 0 {
			continue
		}
		var progress []*study.Progress
		err := workflow.ExecuteActivity(lightActivity(ctx, "progress for the page"), acts.Heartbeats, ids).Get(ctx, &progress)
		if err != nil || len(progress) != len(rows) {
			continue // the page says how old it is
		}
		for i, r := range rows {
			if progress[i] != nil && progresses(r.result) {
				r.result.Take(*progress[i])
			}
		}
		s.show(ctx)
	}
}

// progresses says whether the run of a row is being trained, by its own experiment or by another.
func progresses(r study.ExperimentResult) bool {
	return r.Status == study.StatusRunning || r.Holdup.Kind == protocol.HoldupOtherRun
}

// report writes the report of what is finished so far.
func (s *sweepState) report(ctx workflow.Context, what string) {
	in := s.reportInput()
	s.writeReport(lightActivity(ctx, "report after "+what), in)
}

// finalReport writes the last report. ended says how the sweep ended, unless it ended with its last experiment.
func (s *sweepState) finalReport(ctx workflow.Context, ended string) {
	in := s.reportInput()
	in.Final = true
	in.Ended = ended[:min(len(ended), 2000)]
	s.writeReport(lightActivity(ctx, "report after all phases"), in)
}

// brokenOff is how long the report of a sweep that was cancelled or has failed may take.
const brokenOff = 2 * time.Minute

// reportBrokenOff writes the report of a sweep that ended before its time: the one that is there, of an
// earlier phase or an earlier sweep, would say what is no longer so.
func (s *sweepState) reportBrokenOff(ctx workflow.Context, ended string) {
	if len(s.rows) == 0 { // nothing was planned
		return
	}
	connected, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	s.enterStage(connected, "report")
	s.finalReport(workflow.WithScheduleToCloseTimeout(connected, brokenOff), ended)
}

// reportInput is what a report is made of.
func (s *sweepState) reportInput() activities.ReportInput {
	res := s.result()
	in := activities.ReportInput{
		Sweep:      res.Sweep,
		Goodput:    res.Goodput,
		Failures:   map[string]string{},
		Stopped:    map[string]string{},
		Accounting: map[string]protocol.Accounting{},
	}
	for _, r := range res.Experiments {
		in.Items = append(in.Items, r.Item)
		if slot, ok := r.Accounting(); ok {
			in.Accounting[r.Item.ID] = slot
		}
		if r.Error != "" {
			in.Failures[r.Item.ID] = r.Error[:min(len(r.Error), 300)]
		}
		if why := r.EndedEarly(); why != "" {
			in.Stopped[r.Item.ID] = why[:min(len(why), 300)]
		}
	}
	return in
}

func (s *sweepState) writeReport(ctx workflow.Context, in activities.ReportInput) {
	var out activities.ReportResult
	if err := workflow.ExecuteActivity(ctx, acts.Report, in).Get(ctx, &out); err != nil {
		s.note("report: " + rootMessage(err))
		return
	}
	s.head.Reports = out.Keys
}

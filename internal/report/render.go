package report

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"trmsweep/internal/experiment"
)

// table is a heading with cells, rendered as Markdown and as HTML.
type table struct {
	Title string
	Note  string
	Head  []string
	Rows  [][]cell
}

// cell is a value of a table; its class only colours it.
type cell struct{ Text, Class string }

func plain(texts ...string) []cell {
	out := make([]cell, len(texts))
	for i, t := range texts {
		out[i].Text = t
	}
	return out
}

func tables(rows []Row) []table {
	var out []table
	for _, phase := range experiment.Phases {
		t := table{Title: "Phase " + phase,
			Head: []string{"experiment", "status", "parameters", "steps", "best exact % (step)", "final exact %", "cells %", "difference of best [95% CI]", "difference of final [95% CI]", "p (Holm)", "against", "paper %", "wall", "preemptions", "lost steps"}}
		for _, r := range rows {
			if r.Phase == phase {
				t.Rows = append(t.Rows, resultCells(r))
			}
		}
		if len(t.Rows) > 0 {
			out = append(out, t)
		}
	}
	return append(out, costTable(rows), reproTable(rows))
}

func resultCells(r Row) []cell {
	name := r.Experiment
	if len(r.SharedWith) > 0 {
		name += " (same run as " + strings.Join(r.SharedWith, ", ") + ")"
	}
	status := cell{r.Status, r.Status}
	if len(r.Seeds) > 1 {
		status.Text += fmt.Sprintf(", %d seeds", len(r.Seeds))
	}
	if r.Failure != "" {
		status.Text += ": " + r.Failure
	}
	best := percent(r.BestExactAccuracy)
	if r.BestExactAccuracy != nil {
		best += fmt.Sprintf(" (%d)", r.BestStep)
	}
	against := r.Reference
	if against == "" {
		against = "is the reference"
	}
	paper := "-"
	if r.PaperExact != nil {
		paper = percent(r.PaperExact)
		if r.PaperNote != "" {
			paper += " (" + r.PaperNote + ")"
		}
	}
	wall := "-"
	if r.WallSeconds > 0 {
		wall = duration(r.WallSeconds)
	}
	diff, p := finalCells(r)
	return []cell{{Text: name}, status, {Text: fmt.Sprint(r.Params)}, {Text: fmt.Sprint(r.Steps)}, {Text: best}, {Text: percent(r.FinalExact)}, {Text: percent(r.CellAccuracy)},
		{Text: points(r.BestDelta, r.BestCILow, r.BestCIHigh)}, diff, p, {Text: against}, {Text: paper}, {Text: wall}, {Text: fmt.Sprint(r.Preemptions)}, {Text: fmt.Sprint(r.LostSteps)}}
}

// finalCells are the difference of final accuracy and its p-value.
func finalCells(r Row) (diff, p cell) {
	diff.Text, p.Text = points(r.Delta, r.CILow, r.CIHigh), "-"
	if r.Delta == nil {
		return diff, p
	}
	p.Text = fmt.Sprintf("%.3f", *r.PHolm)
	if *r.PHolm < 0.001 {
		p.Text = "< 0.001"
	}
	if !r.Paired {
		diff.Text += " unpaired"
	}
	if r.Underpowered {
		p.Text += fmt.Sprintf(" †%.1f", 100**r.MDE)
	}
	if significant(r) {
		diff.Class = "worse"
		if *r.Delta > 0 {
			diff.Class = "better"
		}
	}
	return diff, p
}

func points(delta, low, high *float64) string {
	if delta == nil {
		return "-"
	}
	return fmt.Sprintf("%+.2f [%+.2f, %+.2f]", 100**delta, 100**low, 100**high)
}

func significant(r Row) bool { return r.PHolm != nil && *r.PHolm <= alpha }

// summary is the report in a few lines.
func summary(rows []Row) []string {
	count := map[string]int{}
	runs := map[string]bool{}
	var wall, training, all float64
	var lost int64
	preemptions := 0
	better, worse := []string{}, []string{}
	for _, r := range rows {
		count[r.Status]++
		if !runs[r.SpecHash] {
			wall += r.WallSeconds
			lost += r.LostSteps
			preemptions += r.Preemptions
			for k, v := range r.Ledger {
				all += v
				if k == "training" {
					training += v
				}
			}
		}
		runs[r.SpecHash] = true
		if significant(r) {
			item := fmt.Sprintf("%s %+.2f", r.Experiment, 100**r.Delta)
			if *r.Delta > 0 {
				better = append(better, item)
			} else {
				worse = append(worse, item)
			}
		}
	}
	states := []string{}
	for _, s := range []string{"done", "partial", "failed", "missing"} {
		if count[s] > 0 {
			states = append(states, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	out := []string{fmt.Sprintf("%d experiments: %s.", len(rows), strings.Join(states, ", "))}
	if wall > 0 {
		out = append(out, fmt.Sprintf("%s of runs, %.1f%% of it training; %d preemptions, %d steps computed again.", duration(wall), 100*training/max(all, 1e-9), preemptions, lost))
	}
	if line := strings.Join(better, ", "); line != "" {
		out = append(out, "Better than the reference, in points of final exact accuracy: "+line+".")
	}
	if line := strings.Join(worse, ", "); line != "" {
		out = append(out, "Worse than the reference: "+line+".")
	}
	if len(better)+len(worse) == 0 && wall > 0 {
		out = append(out, "No difference from a reference is significant.")
	}
	return out
}

func costTable(rows []Row) table {
	var buckets []string
	for _, r := range rows {
		for b := range r.Ledger {
			if !slices.Contains(buckets, b) {
				buckets = append(buckets, b)
			}
		}
	}
	slices.Sort(buckets)
	t := table{Title: "Where the time went", Note: "Seconds per bucket of the ledger, over all finished seeds. Predicted hours are for one host of a v4-64 unless the run recorded its own prediction.",
		Head: append([]string{"experiment", "predicted h", "actual h", "goodput %"}, buckets...)}
	for _, r := range rows {
		cells := []string{r.Experiment, fmt.Sprintf("%.3g", r.PredictedHours), "-", "-"}
		if r.WallSeconds > 0 {
			cells[2], cells[3] = fmt.Sprintf("%.3g", r.WallSeconds/3600), fmt.Sprintf("%.1f", 100*r.Goodput)
		}
		for _, b := range buckets {
			cells = append(cells, fmt.Sprintf("%.1f", r.Ledger[b]))
		}
		t.Rows = append(t.Rows, plain(cells...))
	}
	return t
}

func reproTable(rows []Row) table {
	t := table{Title: "Reproducibility", Head: []string{"experiment", "spec hash", "seeds", "dataset hash", "code version"}}
	for _, r := range rows {
		t.Rows = append(t.Rows, plain(r.Experiment, r.SpecHash, strings.Trim(fmt.Sprint(r.Seeds), "[]"), r.DatasetHash, r.CodeVersion))
	}
	return t
}

const method = "Differences are in points of exact accuracy, experiment minus reference, paired over the same test puzzles: intervals and p-values by bootstrap with a fixed seed, resampling puzzles and, where there are several, seeds; " +
	"Holm-corrected over all comparisons of the final accuracy. \"unpaired\" says that the datasets differ. The best checkpoint was chosen by evaluations, so its accuracy is optimistic and has no p-value. " +
	"† is underpowered: not significant, and this number of puzzles finds only differences of so many points or more in 80% of cases."

// markdown is report.md; figures are linked as files beside it.
func markdown(title string, lines []string, ts []table, figs []figure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", escapeMD(title))
	for _, l := range lines {
		fmt.Fprintf(&b, "- %s\n", escapeMD(l))
	}
	fmt.Fprintf(&b, "\n%s\n", method)
	for _, t := range ts {
		fmt.Fprintf(&b, "\n## %s\n\n", t.Title)
		if t.Note != "" {
			fmt.Fprintf(&b, "%s\n\n", t.Note)
		}
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.Head, " | "), strings.Repeat("---|", len(t.Head)))
		for _, r := range t.Rows {
			cells := make([]string, len(r))
			for i, c := range r {
				cells[i] = escapeMD(c.Text)
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	for _, f := range figs {
		fmt.Fprintf(&b, "\n## %s\n\n", f.Title)
		if f.Note != "" {
			fmt.Fprintf(&b, "%s\n\n", f.Note)
		}
		fmt.Fprintf(&b, "![%s](%s.svg)\n", f.Title, f.Name)
	}
	return b.String()
}

// escapeMD keeps a value inside its table cell.
func escapeMD(s string) string {
	return strings.NewReplacer("|", `\|`, "\r", " ", "\n", " ", "<", "&lt;").Replace(s)
}

var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>body{font:14px/1.45 system-ui,sans-serif;margin:2rem;color:#1b1f24;background:#fff}h1{font-size:1.6rem}h2{margin-top:2rem}
p,li{max-width:60rem}.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px}th,td{padding:.25rem .55rem;border-bottom:1px solid #d8dee4;text-align:left;vertical-align:top}
th{background:#f2f4f7;vertical-align:bottom}td{font-variant-numeric:tabular-nums;white-space:nowrap}td:nth-child(-n+2){white-space:normal;min-width:7rem}
.better{color:#0a6b2d;font-weight:600}.worse,.failed,.partial{color:#a3140f;font-weight:600}.missing{color:#6b7280}.note{color:#57606a}svg{max-width:100%;height:auto}</style>
<h1>{{.Title}}</h1><ul>{{range .Summary}}<li>{{.}}</li>{{end}}</ul><p class="note">{{.Method}}</p>
{{range .Tables}}<h2>{{.Title}}</h2>{{with .Note}}<p class="note">{{.}}</p>{{end}}<div class="wide"><table><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td{{with .Class}} class="{{.}}"{{end}}>{{.Text}}</td>{{end}}</tr>
{{end}}</table></div>
{{end}}{{range .Figures}}<h2>{{.Title}}</h2>{{with .Note}}<p class="note">{{.}}</p>{{end}}{{.Inline}}
{{end}}</html>
`))

type inlineFigure struct {
	Title, Note string
	Inline      template.HTML
}

// htmlPage is report.html, self-contained.
func htmlPage(title string, lines []string, ts []table, figs []figure) (string, error) {
	var inline []inlineFigure
	for _, f := range figs {
		svg := string(f.SVG)
		if i := strings.Index(svg, "<svg"); i > 0 {
			svg = svg[i:] // no XML declaration inside HTML
		}
		inline = append(inline, inlineFigure{f.Title, f.Note, template.HTML(svg)}) // the plot library escapes its labels
	}
	var b strings.Builder
	err := page.Execute(&b, map[string]any{"Title": title, "Summary": lines, "Method": method, "Tables": ts, "Figures": inline})
	if err != nil {
		return "", fmt.Errorf("render report.html: %w", err)
	}
	return b.String(), nil
}

func percent(x *float64) string {
	if x == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", 100**x)
}

func duration(seconds float64) string {
	if seconds < 120 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	if seconds < 7200 {
		return fmt.Sprintf("%.1f min", seconds/60)
	}
	return fmt.Sprintf("%.2f h", seconds/3600)
}

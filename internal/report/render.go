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
	Rows  [][]string
}

func tables(rows []Row) []table {
	var out []table
	for _, phase := range experiment.Phases {
		t := table{Title: "Phase " + phase,
			Head: []string{"experiment", "status", "parameters", "steps", "best exact % (step)", "final exact %", "cells %", "difference, points [95% CI]", "p (Holm)", "against", "paper %", "wall", "preemptions", "lost steps"}}
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

func resultCells(r Row) []string {
	name := r.Experiment
	if len(r.SharedWith) > 0 {
		name += " (same run as " + strings.Join(r.SharedWith, ", ") + ")"
	}
	status := r.Status
	if r.Failure != "" {
		status += ": " + r.Failure
	}
	best := percent(r.BestExactAccuracy)
	if r.BestExactAccuracy != nil {
		best += fmt.Sprintf(" (%d)", r.BestStep)
	}
	diff, p, against := "-", "-", r.Reference
	if against == "" {
		against = "is the reference"
	}
	if r.Delta != nil {
		diff = fmt.Sprintf("%+.2f [%+.2f, %+.2f]", 100**r.Delta, 100**r.CILow, 100**r.CIHigh)
		p = fmt.Sprintf("%.3f", *r.PHolm)
		if *r.PHolm < 0.001 {
			p = "< 0.001"
		}
		if !r.Paired {
			diff += " unpaired"
		}
		if r.Underpowered {
			p += fmt.Sprintf(", underpowered: %d puzzles show %.1f points or more", r.Puzzles, 100**r.MDE)
		}
	}
	paper := "-"
	if r.PaperExact != nil {
		paper = percent(r.PaperExact)
		if r.PaperNote != "" {
			paper += " (" + r.PaperNote + ")"
		}
	}
	return []string{name, status, fmt.Sprint(r.Params), fmt.Sprint(r.Steps), best, percent(r.FinalExact), percent(r.CellAccuracy), diff, p, against, paper,
		duration(r.WallSeconds), fmt.Sprint(r.Preemptions), fmt.Sprint(r.LostSteps)}
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
	t := table{Title: "Where the time went", Note: "Seconds per bucket of the ledger. Predicted hours are for one host of a v4-64 unless the run recorded its own prediction.",
		Head: append([]string{"experiment", "predicted h", "actual h", "goodput %"}, buckets...)}
	for _, r := range rows {
		cells := []string{r.Experiment, fmt.Sprintf("%.3g", r.PredictedHours), fmt.Sprintf("%.3g", r.WallSeconds/3600), fmt.Sprintf("%.1f", 100*r.Goodput)}
		for _, b := range buckets {
			cells = append(cells, fmt.Sprintf("%.1f", r.Ledger[b]))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

func reproTable(rows []Row) table {
	t := table{Title: "Reproducibility", Head: []string{"experiment", "spec hash", "seeds", "dataset hash", "code version"}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.Experiment, r.SpecHash, strings.Trim(fmt.Sprint(r.Seeds), "[]"), r.DatasetHash, r.CodeVersion})
	}
	return t
}

const method = "Differences are of final exact accuracy, paired over the same test puzzles (bootstrap, fixed seed; over seeds too where there are several), Holm-corrected over all comparisons; unpaired (normal approximation) where the datasets differ. " +
	"Underpowered: not significant, and the observed difference is below what this number of puzzles finds in 80% of cases."

// markdown is report.md; figures are linked as files beside it.
func markdown(title string, ts []table, figs []figure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", escapeMD(title), method)
	for _, t := range ts {
		fmt.Fprintf(&b, "\n## %s\n\n", t.Title)
		if t.Note != "" {
			fmt.Fprintf(&b, "%s\n\n", t.Note)
		}
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.Head, " | "), strings.Repeat("---|", len(t.Head)))
		for _, r := range t.Rows {
			cells := make([]string, len(r))
			for i, c := range r {
				cells[i] = escapeMD(c)
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	for _, f := range figs {
		fmt.Fprintf(&b, "\n## %s\n\n![%s](%s.svg)\n", f.Title, f.Title, f.Name)
	}
	return b.String()
}

// escapeMD keeps a value inside its table cell.
func escapeMD(s string) string {
	return strings.NewReplacer("|", `\|`, "\r", " ", "\n", " ", "<", "&lt;").Replace(s)
}

var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#1b1f24}h1{font-size:1.6rem}h2{margin-top:2rem}
.wide{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.3rem .6rem;border-bottom:1px solid #d8dee4;text-align:left;vertical-align:top}
th{background:#f2f4f7}td{font-variant-numeric:tabular-nums}td:nth-child(n+6){white-space:nowrap}svg{max-width:100%;height:auto}</style>
<h1>{{.Title}}</h1><p>{{.Method}}</p>
{{range .Tables}}<h2>{{.Title}}</h2>{{with .Note}}<p>{{.}}</p>{{end}}<div class="wide"><table><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table></div>
{{end}}{{range .Figures}}<h2>{{.Title}}</h2>{{.Inline}}
{{end}}</html>
`))

type inlineFigure struct {
	Title  string
	Inline template.HTML
}

// htmlPage is report.html, self-contained.
func htmlPage(title string, ts []table, figs []figure) (string, error) {
	var inline []inlineFigure
	for _, f := range figs {
		svg := string(f.SVG)
		if i := strings.Index(svg, "<svg"); i > 0 {
			svg = svg[i:] // no XML declaration inside HTML
		}
		inline = append(inline, inlineFigure{f.Title, template.HTML(svg)}) // the plot library escapes its labels
	}
	var b strings.Builder
	err := page.Execute(&b, map[string]any{"Title": title, "Method": method, "Tables": ts, "Figures": inline})
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

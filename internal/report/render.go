package report

import (
	"fmt"
	"html/template"
	"strings"
)

// document has the parts of the report in the order in which both renderings show them.
type document struct {
	Title   string
	Summary []string
	Method  string
	Results []table
	Figures []figure
	Details []table
}

// markdown renders report.md, which links the figures as files beside it.
func (d document) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", escapeMD(d.Title))
	for _, l := range d.Summary {
		fmt.Fprintf(&b, "- %s\n", escapeMD(l))
	}
	for _, t := range d.Results {
		t.markdown(&b)
	}
	fmt.Fprintf(&b, "\n%s\n", escapeMD(d.Method))
	for _, f := range d.Figures {
		fmt.Fprintf(&b, "\n## %s\n\n![%s](%s.svg)\n\n%s\n", f.Title, f.Title, f.Name, escapeMD(f.Note))
	}
	for _, t := range d.Details {
		t.markdown(&b)
	}
	return b.String()
}

func (t table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n", t.Title)
	if t.Note != "" {
		fmt.Fprintf(b, "%s\n\n", escapeMD(t.Note))
	}
	names, rule := make([]string, len(t.Head)), make([]string, len(t.Head))
	for i, h := range t.Head {
		names[i], rule[i] = escapeMD(strings.ReplaceAll(h.Text, "- ", "")), "---"
		if h.Class == "num" {
			rule[i] = "---:"
		}
	}
	fmt.Fprintf(b, "| %s |\n| %s |\n", strings.Join(names, " | "), strings.Join(rule, " | "))
	for _, r := range t.Rows {
		cells := make([]string, len(r))
		for i, c := range r {
			cells[i] = c.markdown()
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func (c cell) markdown() string {
	text, sub := escapeMD(c.Text), escapeMD(strings.TrimSpace(c.Sub))
	switch {
	case c.Class == "hash":
		return "`" + text + "`"
	case sub == "":
		return text
	case c.Class == "failed" || c.Class == "partial" || c.Class == "stopped":
		return text + ": " + sub
	case strings.HasPrefix(sub, "[") || strings.HasPrefix(sub, "†") || strings.HasPrefix(sub, "±"):
		return text + " " + sub
	}
	return text + " (" + sub + ")"
}

// escapeMD escapes the characters that would end a table cell or start HTML.
func escapeMD(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "\r", " ", "\n", " ", "<", "&lt;").Replace(s)
}

var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>body{font:14px/1.45 system-ui,-apple-system,"Segoe UI","Liberation Sans",sans-serif;
margin:2rem auto;padding:0 1.5rem;max-width:86rem;color:#1b1f24;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}p,li{max-width:62rem}li{margin:.2rem 0}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:12.5px;line-height:1.35}
th,td{padding:.3rem .5rem;border-bottom:1px solid #d8dee4;text-align:left;vertical-align:top}
th{background:#f2f4f7;vertical-align:bottom;font-weight:600;max-width:6rem}
th.num,td.num{text-align:right}td.num{font-variant-numeric:tabular-nums;white-space:nowrap}
td small{display:block;color:#57606a;font-size:11px;max-width:15rem}td.num small{max-width:none;white-space:pre;font-weight:400}
td:nth-child(1),td:nth-child(2){overflow-wrap:anywhere;min-width:5rem}td:nth-child(2) small{min-width:10rem}
td:first-child{overflow-wrap:normal;font-weight:500;white-space:nowrap}td:first-child small{white-space:normal;font-weight:400}
.better,.worse{font-weight:700}.better{color:#005a9c}.worse,.failed,.partial{color:#a3140f}.missing,.stopped{color:#6b7280}
.hash{font:11px/1.5 ui-monospace,"Liberation Mono",monospace;white-space:nowrap}
.note,figcaption{color:#57606a;font-size:13px;max-width:62rem}figure{margin:0 0 1rem}svg{max-width:100%;height:auto;display:block}
.figures{display:flex;flex-wrap:wrap;gap:0 2rem}.figures section{flex:0 1 auto;max-width:100%}.single{width:38rem}
@media print{body{max-width:none;font-size:10px}table{font-size:9px}h2{break-after:avoid}figure,tr{break-inside:avoid}}</style>
<h1>{{.Title}}</h1><ul>{{range .Summary}}<li>{{.}}</li>{{end}}</ul>
{{range .Results}}{{template "table" .}}{{end}}<p class="note">{{.Method}}</p>
<div class="figures">{{range .Figures}}<section{{if .Single}} class="single"{{end}}><h2>{{.Title}}</h2>{{"" -}}
<figure role="img" aria-label="{{.Title}}">{{.Inline}}<figcaption>{{.Note}}</figcaption></figure></section>
{{end}}</div>
{{range .Details}}{{template "table" .}}{{end}}</html>
{{define "table"}}{{$head := .Head}}<h2>{{.Title}}</h2>{{with .Note}}<p class="note">{{.}}</p>{{end -}}
<div class="wide"><table><thead><tr>{{range .Head}}<th{{with .Class}} class="{{.}}"{{end}}>{{.Text}}</th>{{end}}</tr></thead><tbody>
{{range .Rows}}<tr>{{range $i, $c := . -}}
<td class="{{(index $head $i).Class}} {{.Class}}">{{.Text}}{{with .Sub}}<small>{{.}}</small>{{end}}</td>{{end}}</tr>
{{end}}</tbody></table></div>
{{end}}`))

// Inline returns the figure's SVG as a part of an HTML page.
func (f figure) Inline() template.HTML {
	svg := string(f.SVG)
	if i := strings.Index(svg, "<svg"); i > 0 {
		svg = svg[i:] // an XML declaration is not allowed inside HTML
	}
	return template.HTML(svg) // the plot library escapes its labels
}

// html renders report.html, which needs no other file.
func (d document) html() (string, error) {
	var b strings.Builder
	if err := page.Execute(&b, d); err != nil {
		return "", fmt.Errorf("render report.html: %w", err)
	}
	return b.String(), nil
}

// Package clidoc writes docs/CLI.md from the commands of the binaries. Only tests use it: they fail when the document
// is not what the commands say.
package clidoc

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Markdown describes a command and everything below it that is not hidden, with the flags of the root once.
func Markdown(root *cobra.Command) string {
	var b strings.Builder
	root.InitDefaultHelpFlag()
	fmt.Fprintf(&b, "## %s\n\n%s.\n\nFlags of every command:\n\n%s", root.Name(),
		strings.TrimRight(root.Short, "."), table(root.PersistentFlags()))
	for _, c := range root.Commands() {
		describe(&b, c)
	}
	return b.String()
}

func describe(b *strings.Builder, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	if c.HasAvailableSubCommands() {
		for _, sub := range c.Commands() {
			describe(b, sub)
		}
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n%s.\n\n    %s\n", c.CommandPath(),
		strings.TrimRight(c.Short, "."), strings.TrimSuffix(c.UseLine(), " [flags]"))
	if c.Long != "" {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", strings.TrimSpace(c.Long))
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\nExample:\n\n```text\n%s\n```\n", strings.Trim(c.Example, "\n"))
	}
	if flags := table(c.LocalNonPersistentFlags()); flags != "" {
		b.WriteString("\n" + flags)
	}
}

// table lists flags with their defaults; empty if there is none but --help.
func table(flags *pflag.FlagSet) string {
	var rows strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", name, defaultOf(f), strings.ReplaceAll(usage, "|", "\\|"))
	})
	if rows.Len() == 0 {
		return ""
	}
	return "| flag | default | what it does |\n|---|---|---|\n" + rows.String()
}

// defaultOf is a flag's default; empty where that is nothing at all.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]", "false":
		return ""
	}
	return "`" + f.DefValue + "`"
}

// Replace puts a generated part between its marks in a document. A document without the marks is left as it is.
func Replace(document, name, part string) string {
	begin, end := fmt.Sprintf("<!-- begin %s: written by `make docs` -->\n", name), fmt.Sprintf("<!-- end %s -->\n", name)
	head, rest, ok := strings.Cut(document, begin)
	if !ok {
		return document
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return document
	}
	return head + begin + part + end + tail
}

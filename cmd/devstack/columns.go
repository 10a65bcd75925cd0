package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing/fstest"
)

// columns are those of the list of workflows until a user chooses others. The Web UI has no setting for
// them, and its own tell queued experiments from running ones by nothing.
var columns = []string{
	"Status", "TrmStatus", "TrmHoldup", "Workflow ID", "Type", "TrmStep", "TrmGoodput", "Start", "End", "Run ID",
}

// columnsKey is where the Web UI keeps a user's columns in the browser, by namespace.
const columnsKey = "namespace-workflow-table-columns"

// withColumns returns the files of the Web UI with a page that sets the columns where none are chosen.
func withColumns(assets fs.FS) (fs.FS, error) {
	const page, head = "index.html", "<head>"
	html, err := fs.ReadFile(assets, page)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(html, []byte(head)) {
		return nil, errors.New("index.html has no head")
	}
	script, err := columnsScript()
	if err != nil {
		return nil, err
	}
	// The page forbids inline scripts from its content-security-policy on, which comes later.
	html = bytes.Replace(html, []byte(head), []byte(head+script), 1)
	return overlay{FS: assets, changed: fstest.MapFS{page: &fstest.MapFile{Data: html}}}, nil
}

// columnsScript is the script that sets the columns.
func columnsScript() (string, error) {
	type column struct {
		Label string `json:"label"`
	}
	var list []column
	for _, name := range columns {
		list = append(list, column{name})
	}
	data, err := json.Marshal(map[string]any{namespace: list})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("<script>try{const k=%q;"+
		"if((localStorage.getItem(k)||'{}')==='{}')localStorage.setItem(k,%q)}catch(e){}</script>", columnsKey, data), nil
}

// overlay is files of which some are changed.
type overlay struct {
	fs.FS
	changed fs.FS
}

func (o overlay) Open(name string) (fs.File, error) {
	if f, err := o.changed.Open(name); err == nil && name != "." {
		return f, nil
	}
	return o.FS.Open(name)
}

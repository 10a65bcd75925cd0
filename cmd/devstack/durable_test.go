package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	temporalsql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/resolver"
)

// asProgram makes this test binary the program itself.
const asProgram = "DEVSTACK_TEST_PROGRAM"

// portToLose is a taken port that the program chooses at its first two starts.
const portToLose = "DEVSTACK_TEST_PORT"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if port, err := strconv.Atoi(os.Getenv(portToLose)); err == nil && attempt() < 2 {
			internalPorts = func(ip string, n int) ([]int, error) {
				found, err := freePorts(ip, n)
				found[n-1-attempt()] = port // of gRPC at the second start, of the members at the first
				return found, err
			}
		}
		main()
		return
	}
	os.Exit(m.Run())
}

// launch starts a stack as a process of its own, on free ports or at the addresses
// of the one before, and waits until it is announced.
func launch(t *testing.T, state string, more ...string) (*exec.Cmd, ready) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--state", state, "--free-ports"}, more...)
	cmd := exec.CommandContext(t.Context(), self, args...)
	var output bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), asProgram+"=1"), &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var r ready
		if data, err := os.ReadFile(readyPath(state)); err == nil && json.Unmarshal(data, &r) == nil && r.PID == cmd.Process.Pid {
			return cmd, r
		}
		if time.Now().After(end) || syscall.Kill(cmd.Process.Pid, 0) != nil {
			t.Fatalf("the stack does not come up\n%s", output.String())
		}
	}
}

func dial(t *testing.T, r ready) client.Client {
	t.Helper()
	c, err := client.DialContext(t.Context(), client.Options{HostPort: r.Temporal, Namespace: namespace, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func objectURL(r ready, name string) string {
	return r.GCS + "/storage/v1/b/" + bucket + "/o/" + url.PathEscape(name) + "?alt=media"
}

func putObject(r ready, name, content string) error {
	resp, err := http.Post(r.GCS+"/upload/storage/v1/b/"+bucket+"/o?uploadType=media&name="+url.QueryEscape(name), "text/plain",
		strings.NewReader(content))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func getObject(r ready, name string) (string, error) {
	resp, err := http.Get(objectURL(r, name))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return string(data), err
}

// acknowledged is what a stack has said that it keeps.
type acknowledged struct {
	mu        sync.Mutex
	workflows []string
	objects   []string
}

func (a *acknowledged) add(list *[]string, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*list = append(*list, name)
}

func (a *acknowledged) counts() (workflows, objects int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.workflows), len(a.objects)
}

func content(name string) string { return strings.Repeat(name+" ", 5000) }

// write starts workflows and stores objects until the stack is gone.
func (a *acknowledged) write(ctx context.Context, r ready, c client.Client, round int) *sync.WaitGroup {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("round-%d/writer-%d/%d", round, i, n)
				if i < 2 {
					if _, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: name, TaskQueue: "nobody"}, "Nothing"); err != nil {
						return
					}
					a.add(&a.workflows, name)
					continue
				}
				if putObject(r, name, content(name)) != nil {
					return
				}
				a.add(&a.objects, name)
			}
		})
	}
	return &wg
}

// What a stack has acknowledged is there after it was killed in the middle of
// further writes, however often, and so is its database.
func TestKilledInTheMiddleOfWrites(t *testing.T) {
	state := t.TempDir()
	var a acknowledged
	for round := range 3 {
		cmd, r := launch(t, state)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		wg := a.write(ctx, r, dial(t, r), round)
		for w, o := a.counts(); w < 20*(round+1) || o < 20*(round+1); w, o = a.counts() {
			if ctx.Err() != nil {
				t.Fatalf("%d workflows and %d objects in a minute", w, o)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		cancel()
		wg.Wait()
	}
	_, r := launch(t, state)
	c := dial(t, r)
	for _, id := range a.workflows {
		if _, err := c.DescribeWorkflowExecution(t.Context(), id, ""); err != nil {
			t.Errorf("workflow %s: %v", id, err)
		}
	}
	for _, name := range a.objects {
		if got, err := getObject(r, name); err != nil || got != content(name) {
			t.Errorf("object %s: %d bytes, %v", name, len(got), err)
		}
	}
	if got := query(t, state, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("the database: %s", got)
	}
}

// query reads one value of the stack's database, beside the server.
func query(t *testing.T, state, statement string) (out string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(state, "temporal.db")+"?mode=ro&_pragma=busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), statement).Scan(&out); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return out
}

// The servers of a killed stack, listed as alive a moment ago, are forgotten before anything waits for them.
func TestServersOfAKilledStackAreForgotten(t *testing.T) {
	state := t.TempDir()
	cfg, err := database(state)
	if err != nil {
		t.Fatal(err)
	}
	db, err := temporalsql.NewSQLAdminDB(sqlplugin.DbKindMain, cfg, resolver.NewNoopResolver(), tlog.NewNoopLogger(),
		metrics.NoopMetricsHandler)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	err = db.Exec("INSERT INTO cluster_membership VALUES (0, ?, '127.0.0.1', 1, 1, ?, ?, ?)", []byte("a host long dead"), now, now,
		now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	launch(t, state)
	if n := query(t, state, "SELECT COUNT(*) FROM cluster_membership WHERE rpc_port = 1"); n != "0" {
		t.Errorf("%s dead servers are still listed", n)
	}
}

// The server's own connection to its database waits until a commit is on the disk.
func TestDatabaseIsDurable(t *testing.T) {
	state := t.TempDir()
	cfg, err := database(state)
	if err != nil {
		t.Fatal(err)
	}
	db, err := temporalsql.NewSQLAdminDB(sqlplugin.DbKindMain, cfg, resolver.NewNoopResolver(), tlog.NewNoopLogger(),
		metrics.NoopMetricsHandler)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Exec("CREATE TABLE found AS SELECT journal_mode || ' ' || synchronous || ' ' || timeout AS v " +
		"FROM pragma_journal_mode, pragma_synchronous, pragma_busy_timeout")
	if err != nil {
		t.Fatal(err)
	}
	if got := query(t, state, "SELECT v FROM found"); got != "wal 2 10000" { // 2 is FULL
		t.Errorf("journal mode, synchronous and busy timeout are %s", got)
	}
}

// Histories stay for 30 days; the queue of a task queue is the fair one, and one.
func TestRetentionAndFairness(t *testing.T) {
	state := t.TempDir()
	_, r := launch(t, state)
	c := dial(t, r)
	ns, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	if got := ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != 30*24*time.Hour {
		t.Errorf("retention is %s", got)
	}
	for i := range 12 {
		_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: fmt.Sprint("w", i), TaskQueue: "nobody"}, "Nothing")
		if err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(time.Minute); query(t, state, "SELECT COUNT(*) FROM tasks_v2") != "12"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s of 12 tasks in the fair queue; %s in the other",
				query(t, state, "SELECT COUNT(*) FROM tasks_v2"), query(t, state, "SELECT COUNT(*) FROM tasks"))
		}
	}
	if n := query(t, state, "SELECT COUNT(DISTINCT task_queue_id) FROM tasks_v2"); n != "1" {
		t.Errorf("the tasks are in %s partitions", n)
	}
}

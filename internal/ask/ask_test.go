package ask

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// server is a server with one workflow on the task queue "q".
type server struct {
	client.Client
	status enumspb.WorkflowExecutionStatus
	polled []time.Duration // how long ago workers polled
	answer func(context.Context) error
	asked  int
}

func (s *server) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Execution: &commonpb.WorkflowExecution{}, Status: s.status},
		ExecutionConfig:       &workflowpb.WorkflowExecutionConfig{TaskQueue: &taskqueuepb.TaskQueue{Name: "q"}},
	}, nil
}

func (s *server) DescribeTaskQueue(
	context.Context, string, enumspb.TaskQueueType,
) (*workflowservice.DescribeTaskQueueResponse, error) {
	out := &workflowservice.DescribeTaskQueueResponse{}
	for _, ago := range s.polled {
		out.Pollers = append(out.Pollers, &taskqueuepb.PollerInfo{LastAccessTime: timestamppb.New(time.Now().Add(-ago))})
	}
	return out, nil
}

func (s *server) QueryWorkflow(ctx context.Context, _, _, _ string, _ ...any) (converter.EncodedValue, error) {
	s.asked++
	return nil, s.answer(ctx)
}

func (s *server) UpdateWorkflow(ctx context.Context, _ client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	s.asked++
	return nil, s.answer(ctx)
}

func TestNobodyAnswers(t *testing.T) {
	const open, closed = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	now, old := []time.Duration{time.Second}, []time.Duration{4 * time.Minute}
	refused := errors.New("refused")
	answers := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	never := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, c := range []struct {
		name   string
		server server
		update bool
		want   error
		text   string
		asked  int
	}{
		{"a worker answers", server{status: open, polled: now, answer: answers(nil)}, false, nil, "", 1},
		{"a worker refuses", server{status: open, polled: now, answer: answers(refused)}, true, refused, "", 1},
		{"nobody listens", server{status: open, answer: never}, false, ErrNobody, `none listens on task queue "q"`, 0},
		{"nobody listens to an update", server{status: open, answer: never}, true, ErrNobody, `none listens on task queue "q"`, 0},
		{"the last one died", server{status: open, polled: old, answer: never}, true, ErrNobody, `none listens on task queue "q"`, 0},
		{"it died just now", server{status: open, polled: now, answer: never}, true, ErrNobody, `one listened on task queue "q" 1s ago`, 1},
		{"the server's own limit", server{status: open, polled: now, answer: answers(serviceerror.NewDeadlineExceeded("late"))}, false,
			ErrNobody, "one listened", 1},
		{"the SDK's own limit", server{status: open, polled: now, answer: answers(serviceerror.NewCanceled("RST_STREAM"))}, false,
			ErrNobody, "one listened", 1},
		{"ended, a query", server{status: closed, polled: now, answer: answers(nil)}, false, nil, "", 1},
		{"ended, an update", server{status: closed, answer: never}, true, ErrEnded, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			patience := Patience{Answer: 20 * time.Millisecond, Worker: time.Millisecond}
			var err error
			if c.update {
				_, err = Update(t.Context(), &c.server, Workflow{ID: "w"}, patience, "control")
			} else {
				_, err = Query(t.Context(), &c.server, Workflow{ID: "w"}, patience, "progress")
			}
			if !errors.Is(err, c.want) || c.server.asked != c.asked {
				t.Fatalf("%v after %d calls, want %v after %d", err, c.server.asked, c.want, c.asked)
			}
			if err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %q", err, c.text)
			}
		})
	}
}

// Who interrupts a command is not told that nobody answers.
func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s := &server{status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, polled: []time.Duration{0}, answer: func(ctx context.Context) error {
		stop()
		<-ctx.Done()
		return ctx.Err()
	}}
	if _, err := Query(ctx, s, Workflow{ID: "w"}, Patience{}, "progress"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNobody) {
		t.Error(err)
	}
}

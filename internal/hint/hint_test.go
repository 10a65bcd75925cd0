package hint

import "testing"

func TestComplete(t *testing.T) {
	tctl := Settings{Address: "host:7233", Namespace: "study", State: "a b"}
	for _, c := range []struct {
		name     string
		settings Settings
		text     string
		want     string
	}{
		{"nothing was given", Settings{}, "`trmsweep up` starts one", "`trmsweep up` starts one"},
		{"the folder", Settings{State: "x"}, "`trmsweep retry e1` or `make up`", "`trmsweep retry e1 --state x` or `make up STATE=x`"},
		{"a folder that a shell would take apart", Settings{State: "it's"}, "`trmsweep up`", "`trmsweep up --state 'it'\\''s'`"},
		{"the folder is there", Settings{State: "x"}, "`trmsweep down --state y`", "`trmsweep down --state y`"},
		{"the configuration", Settings{Configs: "c"}, "`trmsweep plan`, `tctl workflow list`",
			"`trmsweep plan --configs c`, `tctl workflow list`"},
		{"a server", tctl, "`tctl workflow list`", "`tctl workflow list --address host:7233 --namespace study --state 'a b'`"},
		{"a server, of a program without the flags", tctl, "`trmsweep worker`",
			"`TEMPORAL_ADDRESS=host:7233 TEMPORAL_NAMESPACE=study trmsweep worker --state 'a b'`"},
		{"other words between backquotes", tctl, "`up` and `gcloud storage`", "`up` and `gcloud storage`"},
		{"a path", Settings{State: "x"}, "`bin/tctl workflow list`", "`bin/tctl workflow list --state x`"},
	} {
		if got := c.settings.Complete(c.text); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

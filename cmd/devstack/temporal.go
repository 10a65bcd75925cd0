package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/headers"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	temporalsql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	clusterName = "active"
	retention   = 30 * 24 * time.Hour
)

// dbVersion is the content of STATE/temporal.version.json: the schema of the database. The
// server creates its schema only in a new SQLite file and never migrates one.
type dbVersion struct {
	Server     string `json:"server"`
	Schema     string `json:"schema"`
	Visibility string `json:"visibility"`
}

func currentVersion() dbVersion {
	return dbVersion{Server: headers.ServerVersion, Schema: sqlite.Version, Visibility: sqlite.VisibilityVersion}
}

// database prepares STATE/temporal.db and returns the server's configuration for it.
func database(state string) (*config.SQL, error) {
	path, versionPath := filepath.Join(state, "temporal.db"), filepath.Join(state, "temporal.version.json")
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := createDatabase(path, versionPath); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("open database: %w", err)
	default:
		if err := checkVersion(path, versionPath); err != nil {
			return nil, err
		}
	}
	return &config.SQL{PluginName: sqliteplugin.PluginName, DatabaseName: path, ConnectAttributes: map[string]string{
		"mode": "rwc", "journal_mode": "WAL", "synchronous": "FULL", "busy_timeout": "10000",
	}}, nil
}

// createDatabase creates the schema in a temporary file and renames it, so that a crash
// leaves no incomplete database.
func createDatabase(path, versionPath string) error {
	tmp := path + ".new"
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.RemoveAll(tmp + suffix); err != nil {
			return err
		}
	}
	if err := sqlite.SetupSchema(&config.SQL{PluginName: sqliteplugin.PluginName, DatabaseName: tmp,
		ConnectAttributes: map[string]string{"mode": "rwc"}}); err != nil {
		return fmt.Errorf("create database %s: %w", path, err)
	}
	if err := writeFile(versionPath, currentVersion()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func checkVersion(path, versionPath string) error {
	var v dbVersion
	data, err := os.ReadFile(versionPath)
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		return fmt.Errorf("%s has no readable schema version beside it (%w): move the file away to start with an empty history; "+
			"checkpoints and results are kept elsewhere and stay", path, err)
	}
	if now := currentVersion(); v.Schema != now.Schema || v.Visibility != now.Visibility {
		return fmt.Errorf("%s was made by Temporal %s with schema %s/%s, this build (Temporal %s) needs %s/%s "+
			"and a SQLite file is never migrated: finish its workflows with the older build, or move the file away "+
			"to start with an empty history; checkpoints and results are kept elsewhere and stay",
			path, v.Server, v.Schema, v.Visibility, now.Server, now.Schema, now.Visibility)
	}
	return nil
}

// newTemporal makes a server with all four services on one SQLite file and with the default
// namespace. Only the frontend listens on ip, at the port that the reserved listener keeps
// occupied; the other services listen locally. The server binds its ports itself: if
// another program takes one in between, the process restarts (see loudLogger).
func newTemporal(state, ip string, reserved net.Listener, attributes attributeList, logger tlog.Logger) (temporal.Server, error) {
	sql, err := database(state)
	if err != nil {
		return nil, err
	}
	if err := forgetMembers(sql, logger); err != nil {
		return nil, err
	}
	ns, err := sqlite.NewNamespaceConfig(clusterName, namespace, false, attributes.types())
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	ns.Detail.Config.Retention = durationpb.New(retention)
	if err := sqlite.CreateNamespaces(sql, ns); err != nil {
		return nil, fmt.Errorf("create namespace %s in %s: %w", namespace, sql.DatabaseName, err)
	}
	cfg, err := serverConfig(sql, ip, portOfListener(reserved))
	if err != nil {
		return nil, err
	}
	if err := reserved.Close(); err != nil {
		return nil, fmt.Errorf("make Temporal server: %w", err)
	}
	srv, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithLogger(logger),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		temporal.WithDynamicConfigClient(dynamicconfig.StaticClient{
			dynamicconfig.MatchingEnableFairness.Key(): true,
			// One server needs no partitions. With the usual four, tasks come out of order, and
			// the last one of a queue was seen to wait in its partition while a worker polled.
			dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():      1,
			dynamicconfig.MatchingNumTaskqueueWritePartitions.Key():     1,
			dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("make Temporal server: %w", err)
	}
	return srv, nil
}

// forgetMembers empties the list of servers that share the database. The process that has
// the state's lock is the only one, but a stack that was killed is still listed, and the
// server would try its addresses for half a minute.
func forgetMembers(cfg *config.SQL, logger tlog.Logger) error {
	db, err := temporalsql.NewSQLAdminDB(sqlplugin.DbKindMain, cfg, resolver.NewNoopResolver(), logger, metrics.NoopMetricsHandler)
	if err != nil {
		return fmt.Errorf("open database %s: %w", cfg.DatabaseName, err)
	}
	if err := errors.Join(db.Exec("DELETE FROM cluster_membership"), db.Close()); err != nil {
		return fmt.Errorf("forget the servers of a killed stack in %s: %w", cfg.DatabaseName, err)
	}
	return nil
}

// internalPorts chooses the ports between the server's services. A test replaces it to lose one.
var internalPorts = freePorts

func serverConfig(sql *config.SQL, ip string, port int) (*config.Config, error) {
	const local = "127.0.0.1"
	names := []string{"frontend", "history", "matching", "worker"}
	free, err := internalPorts(local, 2*len(names))
	if err != nil {
		return nil, err
	}
	services := map[string]config.Service{}
	for i, name := range names {
		rpc := config.RPC{GRPCPort: free[2*i], MembershipPort: free[2*i+1], BindOnLocalHost: true}
		if i == 0 {
			rpc = config.RPC{GRPCPort: port, MembershipPort: free[1], BindOnIP: ip}
		}
		services[name] = config.Service{RPC: rpc}
	}
	frontend := fmt.Sprintf("%s:%d", local, port)
	if ip != "0.0.0.0" && ip != local {
		frontend = fmt.Sprintf("%s:%d", ip, port)
	}
	cfg := &config.Config{
		Services: services,
		Persistence: config.Persistence{
			DefaultStore: sqliteplugin.PluginName, VisibilityStore: sqliteplugin.PluginName, NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{sqliteplugin.PluginName: {SQL: sql}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: frontend},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
	}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: local}
	return cfg, nil
}

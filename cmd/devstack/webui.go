package main

import (
	"fmt"
	"io/fs"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/temporalio/ui-server/v2/server/api"
	"github.com/temporalio/ui-server/v2/server/auth"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/csrf"
	"github.com/temporalio/ui-server/v2/server/headers"
	"github.com/temporalio/ui-server/v2/server/route"
	"github.com/temporalio/ui-server/v2/ui"
)

// webUI returns the handler of the Web UI. It is assembled as in server.NewServer of
// ui-server, whose own server opens a listener that the guard cannot protect. The parts for
// logins, other origins and other paths are left out.
func webUI(temporalAddress string) (http.Handler, error) {
	cfg, err := uiconfig.NewConfigProviderWithRefresh(&uiconfig.Config{
		TemporalGRPCAddress: temporalAddress,
		EnableUI:            true,
		DefaultNamespace:    namespace,
		CORS:                uiconfig.CORS{CookieInsecure: true},
		DisableNewsFetch:    true,
	})
	if err != nil {
		return nil, fmt.Errorf("configure Web UI: %w", err)
	}
	assets, err := ui.Assets()
	if err != nil {
		return nil, fmt.Errorf("open the files of the Web UI: %w", err)
	}
	assets, err = fs.Sub(assets, "local")
	if err != nil {
		return nil, fmt.Errorf("open the files of the Web UI: %w", err)
	}
	assets, err = withColumns(assets)
	if err != nil {
		return nil, fmt.Errorf("open the page of the Web UI: %w", err)
	}
	e := echo.New()
	e.Use(middleware.Recover())
	e.Use(middleware.Gzip())
	e.Use(middleware.Secure())
	e.Use(csrf.EnsureTokenCookie(false))
	e.Use(middleware.CSRFWithConfig(csrf.MiddlewareConfig(cfg, false)))
	route.SetHealthRoute(e)
	forward := headers.WithForwardHeaders([]string{auth.AuthorizationExtrasHeader, "Caller-Type"})
	if err := route.SetAPIRoutes(e, cfg, []api.Middleware{forward}); err != nil {
		return nil, fmt.Errorf("start Web UI: %w", err)
	}
	if err := route.SetUIRoutes(e, "", assets, cfg); err != nil {
		return nil, fmt.Errorf("start Web UI: %w", err)
	}
	route.SetRenderRoute(e, "/")
	return e, nil
}

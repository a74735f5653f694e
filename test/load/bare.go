package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// runHelper does a helper's work until it is told to end, if this process is one; ok is
// false if it is not.
func runHelper() (code int, ok bool) {
	name := os.Getenv(helperVariable)
	if name == "" {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	serve := map[string]func(context.Context) error{pubsubHelper: servePubSub, bareHelper: serveBare}[name]
	if serve == nil {
		serve = func(context.Context) error { return fmt.Errorf("there is no helper %q", name) }
	}
	if err := serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "load helper:", err)
		return 1, true
	}
	return 0, true
}

func servePubSub(ctx context.Context) error {
	ps, err := dev.StartPubSub(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ps.Close()
	fmt.Fprintln(os.Stdout, ps.Addr())
	<-ctx.Done()
	return nil
}

// serveBare serves the bare handlers on the database of the environment.
func serveBare(ctx context.Context) error {
	cfg, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return fmt.Errorf("read the database's URL: %w", err)
	}
	cfg.MaxConns = 25 // as the service's default
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open the connection pool: %w", err)
	}
	defer pool.Close()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: bareRoutes(pool), ReadHeaderTimeout: answerLimit}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintln(os.Stdout, l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bareCluster is a row of the bare statements and its answer.
type bareCluster struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Description     string          `json:"description"`
	CreatedBy       string          `json:"created_by"`
	Generation      int64           `json:"generation"`
	ResourceVersion int64           `json:"resource_version"`
	Labels          json.RawMessage `json:"labels"`
	Spec            json.RawMessage `json:"spec"`
	Status          json.RawMessage `json:"status"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
}

type (
	bareOne  struct{ Body bareCluster }
	bareMany struct {
		Body struct {
			Clusters []bareCluster `json:"clusters"`
			Total    int64         `json:"total"`
		}
	}
	byID struct {
		ID string `path:"id"`
	}
	bareNew struct {
		User string `header:"X-User-Email"`
		Body struct {
			Name   string          `json:"name"`
			Labels json.RawMessage `json:"labels"`
			Spec   json.RawMessage `json:"spec"`
		}
	}
	bareUpsert struct {
		ID   string `path:"id"`
		Body struct {
			_ struct{} `additionalProperties:"true"`

			ControllerName string          `json:"controller_name"`
			Conditions     json.RawMessage `json:"conditions"`
			Metadata       json.RawMessage `json:"metadata"`
		}
	}
	bareDone struct {
		Body struct {
			Message string `json:"message"`
		}
	}
)

// bareRoutes are the four operations and nothing else: no identity, no validation beyond
// the types, no logging, no metrics.
func bareRoutes(pool *pgxpool.Pool) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	cfg := huma.DefaultConfig("bare", "1")
	cfg.CreateHooks = nil
	api := humagin.New(engine, cfg)
	query := func(ctx context.Context, sql string, args ...any) (*bareOne, error) {
		rows, err := pool.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		c, err := pgx.CollectExactlyOneRow(rows, scanBare)
		return &bareOne{c}, err
	}
	huma.Get(api, clustersPath+"/{id}", func(ctx context.Context, in *byID) (*bareOne, error) {
		return query(ctx, bareGet, in.ID)
	})
	huma.Get(api, clustersPath, func(ctx context.Context, _ *struct{}) (*bareMany, error) { return bareList(ctx, pool) })
	huma.Post(api, clustersPath, func(ctx context.Context, in *bareNew) (*bareOne, error) {
		return query(ctx, bareCreate, in.Body.Name, in.User, []byte(in.Body.Labels), []byte(in.Body.Spec))
	}, func(o *huma.Operation) { o.DefaultStatus = http.StatusCreated })
	huma.Put(api, clustersPath+"/{id}/status", func(ctx context.Context, in *bareUpsert) (*bareDone, error) {
		_, err := pool.Exec(ctx, bareReport, in.ID, in.Body.ControllerName, []byte(in.Body.Conditions), []byte(in.Body.Metadata))
		out := &bareDone{}
		out.Body.Message = "stored"
		return out, err
	})
	return engine
}

func bareList(ctx context.Context, pool *pgxpool.Pool) (*bareMany, error) {
	var (
		out   bareMany
		batch pgx.Batch
	)
	batch.Queue(bareCount).QueryRow(func(row pgx.Row) error { return row.Scan(&out.Body.Total) })
	batch.Queue(barePage).Query(func(rows pgx.Rows) (err error) {
		out.Body.Clusters, err = pgx.CollectRows(rows, scanBare)
		return err
	})
	return &out, pool.SendBatch(ctx, &batch).Close()
}

func scanBare(row pgx.CollectableRow) (c bareCluster, err error) {
	err = row.Scan(&c.ID, &c.Name, &c.Description, &c.CreatedBy, &c.Generation, &c.ResourceVersion,
		(*[]byte)(&c.Labels), (*[]byte)(&c.Spec), (*[]byte)(&c.Status), &c.CreatedAt, &c.UpdatedAt)
	if c.Status == nil {
		c.Status = json.RawMessage(`{}`)
	}
	return c, err
}

package main

import (
	"context"
	"errors"
	"sync/atomic"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/test/pubsub"
)

// pubSub is Google's Pub/Sub server in this process, or its emulator, and our own way to it.
type pubSub struct {
	address string
	end     func() // of the server
	conn    *grpc.ClientConn
	// fault is asked before each publish; its error is the answer. nil for none. The emulator does not ask.
	fault atomic.Pointer[func(context.Context) error]
}

// startPubSub starts a server that has the topics. After an error it is ended.
func startPubSub(ctx context.Context, emulated bool) (p *pubSub, err error) {
	p = &pubSub{}
	begin := p.serve
	if emulated {
		begin = pubsub.StartEmulator
	}
	if p.address, p.end, err = begin(ctx); err != nil {
		return nil, err
	}
	p.conn, err = grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		p.end()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := pubsub.CreateTopics(ctx, p.conn); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// serve starts the server in this process.
func (p *pubSub) serve(ctx context.Context) (address string, end func(), err error) {
	server, err := dev.StartPubSub(ctx, "127.0.0.1:0", p.intercept)
	if err != nil {
		return "", nil, err
	}
	return server.Addr(), server.Close, nil
}

func (p *pubSub) close() error {
	err := p.conn.Close()
	p.end()
	return err
}

// intercept lets a fault answer instead of the server.
func (p *pubSub) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if _, publishes := req.(*pb.PublishRequest); publishes {
		if fault := p.fault.Load(); fault != nil {
			if err := (*fault)(ctx); err != nil {
				return nil, err
			}
		}
	}
	return handle(ctx, req)
}

// refuse answers every publish with a code; codes.OK ends that.
func (p *pubSub) refuse(code codes.Code) {
	if code == codes.OK {
		p.fault.Store(nil)
		return
	}
	refuse := func(context.Context) error { return status.Error(code, "refused by a fault") }
	p.fault.Store(&refuse)
}

// A handler with AWS's own library for Go, which speaks the Runtime API.
package main

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type Order struct {
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

type Receipt struct {
	Item    string `json:"item"`
	Total   int    `json:"total"`
	Request string `json:"request"`
}

func handle(ctx context.Context, order Order) (Receipt, error) {
	if order.Quantity < 1 {
		return Receipt{}, errors.New("a quantity, please")
	}
	called, _ := lambdacontext.FromContext(ctx)
	return Receipt{order.Item, order.Quantity * 3, called.AwsRequestID}, nil
}

func main() { lambda.Start(handle) }

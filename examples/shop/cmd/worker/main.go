// Command worker prints the day's orders and ends.
package main

import (
	"fmt"
	"log"
	"runtime"

	"github.com/google/uuid"

	"example.com/shop/internal/catalog"
	"example.com/shop/pkg/money"
)

func main() {
	items, err := catalog.Load()
	if err != nil {
		log.Fatal(err)
	}
	var total money.Cents
	for _, item := range items {
		total += item.Price
		order := uuid.NewSHA1(uuid.NameSpaceURL, []byte(item.Name))
		fmt.Printf("order %s: %s for %s\n", order, item.Name, item.Price)
	}
	fmt.Printf("%d orders, %s, on %s/%s\n", len(items), total, runtime.GOOS, runtime.GOARCH)
}

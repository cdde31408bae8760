// Package catalog knows what the shop sells.
package catalog

import (
	_ "embed"
	"fmt"

	"gopkg.in/yaml.v3"

	"example.com/shop/pkg/money"
)

//go:embed items.yaml
var content []byte

// Item is something for sale.
type Item struct {
	Name  string      `yaml:"name" json:"name"`
	Price money.Cents `yaml:"cents" json:"cents"`
}

// Load reads the items that are part of the program.
func Load() ([]Item, error) {
	var items []Item
	if err := yaml.Unmarshal(content, &items); err != nil {
		return nil, fmt.Errorf("items.yaml: %w", err)
	}
	return items, nil
}

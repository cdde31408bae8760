// Package settings reads the shop's configuration.
package settings

import (
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// Settings are what an operator may change.
type Settings struct {
	Name   string `yaml:"name"`
	Listen string `yaml:"listen"`
}

// Load reads a YAML file; with an empty path, the defaults stand.
func Load(path string) (Settings, error) {
	chosen := Settings{Name: "shop", Listen: ":8080"}
	if path == "" {
		return chosen, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return chosen, err
	}
	if err := yaml.Unmarshal(content, &chosen); err != nil {
		return chosen, fmt.Errorf("%s: %w", path, err)
	}
	return chosen, nil
}

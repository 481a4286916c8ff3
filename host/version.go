package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"spore/abi"
	"spore/host/sandbox"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "print the versions of spore, its ABI and its engine",
		Example:           "  spore version\n  spore version --json",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine(v))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func versions() map[string]string {
	return map[string]string{"spore": version(), "abi": abi.Module, "go": runtime.Version(),
		"wazero": sandbox.WazeroVersion(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
}

func versionLine(v map[string]string) string {
	return fmt.Sprintf("spore %s (abi %s, wazero %s, %s, %s)", v["spore"], v["abi"], v["wazero"], v["go"], v["platform"])
}

package sandbox

import (
	"errors"
	"fmt"
	"strings"

	"spore/abi"
	"spore/host/wasmbin"
)

// MaxModule is how many bytes a module may have.
const MaxModule = wasmbin.MaxModuleBytes

// Check reports why wasm cannot be a function, without compiling it.
func Check(wasm []byte) error {
	m, err := wasmbin.Parse(wasm)
	if err != nil {
		return err
	}
	return checkModule(m)
}

func checkModule(m *wasmbin.Module) error { return errors.Join(checkImports(m), checkExports(m)) }

// checkExports refuses a module that is neither a spore guest nor a command,
// naming what is missing.
func checkExports(m *wasmbin.Module) error {
	void := wasmbin.FuncType{}
	if !m.ExportsMemory(abi.ExportMemory) {
		return fmt.Errorf("the module does not export its memory as %q", abi.ExportMemory)
	}
	if !m.Exports(abi.ExportServe) && !m.Exports(abi.ExportStart) {
		return fmt.Errorf("the module exports neither the function %s(), as a spore function does, nor %s(), as a WASI command does", abi.ExportServe, abi.ExportStart)
	}
	if t, ok := m.FuncExport(abi.ExportServe); !isCommand(m) && (!ok || !t.Equal(void)) {
		return fmt.Errorf("the module does not export the function %s(); is it a spore function, with guest.Start in its main?", abi.ExportServe)
	}
	if m.Exports(abi.ExportStart) == m.Exports(abi.ExportInitialize) {
		return fmt.Errorf("the module must export one of %s and %s", abi.ExportStart, abi.ExportInitialize)
	}
	for _, name := range []string{abi.ExportStart, abi.ExportInitialize, abi.ExportWarm} {
		if t, ok := m.FuncExport(name); m.Exports(name) && (!ok || !t.Equal(void)) {
			return fmt.Errorf("export %s is not a function without parameters and results", name)
		}
	}
	if t, ok := m.FuncExport(abi.ExportRandom); m.Exports(abi.ExportRandom) && (!ok || !t.Equal(wasmbin.FuncType{Results: []wasmbin.ValueType{wasmbin.I64}})) {
		return fmt.Errorf("export %s is not a function that returns one i64", abi.ExportRandom)
	}
	return nil
}

// checkImports refuses a module that imports what no host module offers, naming
// all of it at once.
func checkImports(m *wasmbin.Module) error {
	offered := hostModules()
	var wrong []string
	for _, im := range m.Imports {
		fn, ok := offered[im.Module][im.Name]
		switch {
		case !ok:
			wrong = append(wrong, im.Module+"."+im.Name+" does not exist")
		case !im.Type.Equal(wasmbin.FuncType{Params: types[wasmbin.ValueType](fn.params), Results: types[wasmbin.ValueType](fn.result)}):
			wrong = append(wrong, im.Module+"."+im.Name+" has another signature")
		}
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("imports that this host cannot satisfy: %s", strings.Join(wrong, ", "))
}

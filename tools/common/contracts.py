"""Kinds of contracts that import-linter lacks; pyproject.toml's own are checked by `make lint`.

Flow: the code's imports -> import-linter -> CONTRACTS -> its report.
"""

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """A package imports itself and what is named, of the standard library and others too."""

    package: Any = fields.StringField()
    allowed: Any = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        package = str(self.package)
        found = []
        for module in sorted({package, *graph.find_descendants(package)}):
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                is_own = imported == package or imported.startswith(package + ".")
                if not is_own and imported not in self.allowed:
                    found.append((module, imported))
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module, imported in check.metadata["found"]:
            output.print_error(f"{module} imports {imported}")


class UnimportedContract(Contract):
    """No module imports one of this name, whatever package it is in."""

    name_of_module: Any = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        ending = f".{self.name_of_module}"
        found = [
            (importer, module)
            for module in sorted(graph.modules)
            if module.endswith(ending)
            for importer in sorted(graph.find_modules_that_directly_import(module))
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, module in check.metadata["found"]:
            output.print_error(f"{importer} imports {module}")

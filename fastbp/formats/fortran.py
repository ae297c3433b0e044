"""A module of Fortran 2003 that calls the functions of a network's file of C."""

from __future__ import annotations

from typing import Any

from .c99 import Argument, Export, Function

__all__ = ["to_fortran"]


def to_fortran(net: Any, name: str, *, gradients: bool = False, real: str | None = None) -> str:
    """Return a module of Fortran 2003 that declares what `to_c` gives, to be linked with that.

    The module is called `name`, and its subroutines are ``<name>_predict(x, y)`` and so on, as in
    C. Many rows are columns in Fortran: ``x(n_inputs, rows)``, and a Jacobian is
    ``jacobian(n_inputs, n_outputs)``.

    Parameters
    ----------
    net, name, gradients, real
        As for `to_c`.

    Raises
    ------
    ConfigError, InputError, BusyError
        As for `to_c`.
    """
    export = Export(net, name, gradients, real)
    name, kind = export.name, f"c_{export.real}"
    public = ", &\n    ".join(f"{name}_{f.name}" for f in export.functions)
    interfaces = "\n".join(_interface(name, function, kind) for function in export.functions)
    return f"""\
! {export.title()}.
! Compile this module with the file of C of the same network, and link the two.
module {name}
  use, intrinsic :: iso_c_binding, only: {kind}, c_size_t
  implicit none
  private
  public :: {public}
  integer, parameter, public :: {name}_n_inputs = {export.n_inputs}
  integer, parameter, public :: {name}_n_outputs = {export.n_outputs}

  interface
{interfaces}
  end interface
end module {name}
"""


def _interface(name: str, function: Function, kind: str) -> str:
    full = f"{name}_{function.name}"
    arguments = ", ".join(argument.name for argument in function.arguments)
    # The number of rows before the arrays that are as long.
    ordered = sorted(function.arguments, key=lambda argument: bool(argument.shape))
    return "\n".join(
        [
            f"    ! {function.purpose}",
            f"    subroutine {full}( &",
            f"        {arguments}) &",
            f'        bind(C, name="{full}")',
            f"      import :: {kind}, c_size_t",
            *(f"      {_declaration(argument, kind)}" for argument in ordered),
            f"    end subroutine {full}",
        ]
    )


def _declaration(argument: Argument, kind: str) -> str:
    if not argument.shape:
        return f"integer(c_size_t), value, intent(in) :: {argument.name}"
    shape = ", ".join("rows" if n is None else str(n) for n in reversed(argument.shape))
    return f"real({kind}), intent({argument.intent}) :: {argument.name}({shape})"

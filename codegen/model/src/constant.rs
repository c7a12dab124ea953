//! Values as Rust source: what the plan holds, written so that generated code has it in a `const`.
//!
//! The paths are those under which the gateway re-exports this crate's types. Nothing here knows of syntax trees.

use crate::plan::{Table, Text};
use crate::revision::Era;

/// A value that can be written down as a constant expression.
pub trait Constant {
    /// The expression, with absolute paths only.
    fn expression(&self) -> String;
}

/// Defines types of the plan together with how they are written down, so that a field that is added cannot be forgotten.
macro_rules! constant {
    ($(#[$meta:meta])* pub struct $Name:ident { $($(#[$doc:meta])* pub $field:ident: $Type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $Name {
            $($(#[$doc])* pub $field: $Type,)+
        }

        impl $crate::constant::Constant for $Name {
            fn expression(&self) -> String {
                let fields = [$(format!(
                    "{}: {}",
                    stringify!($field),
                    $crate::constant::Constant::expression(&self.$field)
                )),+];
                format!("::only1mcp::catalog::plan::{} {{ {} }}", stringify!($Name), fields.join(", "))
            }
        }
    };
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$doc:meta])* $Variant:ident $(($Type:ty))?,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $Name {
            $($(#[$doc])* $Variant $(($Type))?,)+
        }

        impl $crate::constant::Constant for $Name {
            fn expression(&self) -> String {
                let variant = match self {
                    $(constant!(@pattern value $Variant $($Type)?) => constant!(@text value $Variant $($Type)?),)+
                };
                format!("::only1mcp::catalog::plan::{}::{variant}", stringify!($Name))
            }
        }
    };
    (@pattern $value:ident $Variant:ident) => { Self::$Variant };
    (@pattern $value:ident $Variant:ident $Type:ty) => { Self::$Variant($value) };
    (@text $value:ident $Variant:ident) => { stringify!($Variant).to_owned() };
    (@text $value:ident $Variant:ident $Type:ty) => {
        format!("{}({})", stringify!($Variant), $crate::constant::Constant::expression($value))
    };
}
pub(crate) use constant;

// === impl Constant ===

impl Constant for str {
    fn expression(&self) -> String {
        format!("{self:?}")
    }
}

impl Constant for Text {
    fn expression(&self) -> String {
        format!("::std::borrow::Cow::Borrowed({})", (**self).expression())
    }
}

impl<T: Constant> Constant for Table<T>
where
    [T]: ToOwned,
{
    fn expression(&self) -> String {
        let rows: Vec<String> = self.iter().map(T::expression).collect();
        format!("::std::borrow::Cow::Borrowed(&[{}])", rows.join(", "))
    }
}

impl<T: Constant> Constant for Option<T> {
    fn expression(&self) -> String {
        self.as_ref().map_or_else(|| "None".to_owned(), |value| format!("Some({})", value.expression()))
    }
}

impl Constant for bool {
    fn expression(&self) -> String {
        self.to_string()
    }
}

impl Constant for u64 {
    fn expression(&self) -> String {
        self.to_string()
    }
}

impl Constant for u32 {
    fn expression(&self) -> String {
        self.to_string()
    }
}

impl Constant for u16 {
    fn expression(&self) -> String {
        self.to_string()
    }
}

impl Constant for Era {
    fn expression(&self) -> String {
        format!("::only1mcp::catalog::Era::{self:?}")
    }
}

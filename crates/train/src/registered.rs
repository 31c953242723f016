//! Options under a name: how a section of the recipe chooses one of several algorithms.

/// Declares the options of one algorithm, each with its default.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }
    };
}
pub(crate) use options;

/// Declares the section that chooses among algorithms. A line names one: the name that recipes write, the
/// module that it is in, and the type of its options, which implements the trait.
macro_rules! registered {
    ($(#[$doc:meta])* $section:ident by $trait:ident { $($name:literal => $module:ident::$options:ident,)* }) => {
        $(pub use $module::$options;)*

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "name")]
        pub enum $section {
            $(
                #[doc = concat!("`name = \"", $name, "\"`; see [`", stringify!($options), "`].")]
                #[serde(rename = $name)]
                $options($options),
            )*
        }

        impl $section {
            /// The names a recipe may write.
            pub const NAMES: [&'static str; [$($name),*].len()] = [$($name),*];

            /// The algorithm of this name with its default options.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some($section::$options($options::default())),)*
                    _ => None,
                }
            }

            fn options(&self) -> &dyn $trait {
                match self {
                    $($section::$options(options) => options,)*
                }
            }
        }
    };
}
pub(crate) use registered;

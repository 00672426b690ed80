//! One macro, so that each struct reads like the Go struct that it mirrors.

/// Declares structs whose fields are `name: Type = "JsonName"`, with `omitempty` behind those that Go leaves out when they are
/// empty. All fields have a default, so that a client may leave out anything.
macro_rules! go_json {
    ($(
        $(#[$meta:meta])*
        pub struct $struct:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $json:literal $($omit:ident)? ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default)]
        pub struct $struct {
            $(
                #[doc = concat!("JSON `", $json, "`.")]
                $(#[$field_meta])*
                #[serde(rename = $json)]
                $(
                    // The second attribute never applies: it only ties the first to the word `omitempty`.
                    #[serde(skip_serializing_if = "crate::zero::is_empty")]
                    #[cfg_attr(any(), $omit)]
                )?
                pub $field: $type,
            )*
        }
    )*};
}
pub(crate) use go_json;

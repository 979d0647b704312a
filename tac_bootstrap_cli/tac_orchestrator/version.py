"""The version of this product. It is also that of the specification whose schema it keeps."""

VERSION = "0.9.5"

//! Normalisation, attention, recurrent layers.

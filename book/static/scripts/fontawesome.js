// In place of the theme's 1.5 MB script of icons: its style sheet draws the same ones from a font.

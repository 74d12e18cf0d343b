"""What translation alone needs: sentences, placeholders, languages, the translator."""

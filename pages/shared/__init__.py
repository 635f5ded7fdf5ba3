"""What the pages share; all of it imports Streamlit."""

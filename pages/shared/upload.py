"""Sending an exported folder to the hub."""

from pathlib import Path

import streamlit as st

from defemb_core.hub_upload import upload
from pages.shared.text import as_text


def show_upload(folder: Path, files: list[str]) -> None:
    """Show what an upload would send, and a form that sends it; the token is gone from the session afterwards."""
    with st.expander("Upload to the Hugging Face hub", icon=":material/cloud_upload:"), st.form(f"hub-{folder}", True):
        st.write(as_text(f"These {len(files)} files and nothing else: {', '.join(files)}."))
        what = "Made, and private, if it is not there."
        name = st.text_input("Repository", placeholder="owner/name", help=what, key=f"repository-{folder}")
        kept = "Used for this one upload and kept nowhere."
        token = st.text_input("Token", type="password", help=kept, key=f"token-{folder}")
        if st.form_submit_button("Upload", icon=":material/cloud_upload:"):
            with st.spinner("Uploading"):
                address = upload(folder, name, token)
            st.success(f"Uploaded to {as_text(address)}", icon=":material/cloud_done:")

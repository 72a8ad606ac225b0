import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const backend = "http://localhost:8000";

export default defineConfig({
  plugins: [react()],
  server: {
    proxy: {
      "/jobs": backend,
      // Without `ws` the client would make do with server-sent events.
      "/progress": { target: backend, ws: true },
    },
  },
});

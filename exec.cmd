@rem npm scripts begin with "exec", which Windows does not have. It finds this file, and says where to go.
@echo music-streams runs on Linux, macOS and, on Windows, in WSL 2: start it from a WSL shell (https://aka.ms/wslinstall). 1>&2
@exit /b 1

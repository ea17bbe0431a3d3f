# docker build -t glassbox . && docker run --rm -p 7860:7860 glassbox
# PyTorch's usual build for Linux carries CUDA (several GB); its CPU build is chosen with --build-arg PIP_ARGS="--extra-index-url ..."
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 1000 glassbox
WORKDIR /home/glassbox/app

ARG PIP_ARGS=""
COPY requirements.txt constraints.txt ./
RUN pip install $PIP_ARGS --constraint constraints.txt --requirement requirements.txt

COPY --chown=glassbox . .
USER glassbox
EXPOSE 7860
HEALTHCHECK --start-period=20s --interval=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/config', timeout=4)"]
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]

import subprocess
import sys


def test_the_gateway_never_imports_torch_or_numpy():
    code = (
        "import sys, gateway.app; print([name for name in ('torch', 'numpy', 'transformers') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

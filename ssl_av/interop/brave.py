"""stub"""
def read(tree): return {}
def matches(source): return False
